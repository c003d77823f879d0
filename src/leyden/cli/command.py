"""How a sub-command of ``leyden`` is added, and what is said to a slip in typing it."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NoReturn, TypeAlias

from typing_extensions import override

from leyden.errors import LeydenError

__all__ = [
    "Commands",
    "OneLineParser",
    "add_command",
    "answered",
    "count",
    "explain_files",
    "hang_up",
]

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - there is no other name for it
"""The sub-commands, as ``argparse`` keeps them."""

_CODES = MappingProxyType({0: "done", 2: "a slip, which is told in one line; nothing was changed"})


class OneLineParser(argparse.ArgumentParser):
    """Answer a slip in one line, and end with exit code 2."""

    @override
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. See `{self.prog} --help`.\n")


def add_command(
    commands: Commands,
    name: str,
    run: str,
    *,
    summary: str,
    description: str | None = None,
    epilog: str | None = None,
    exit_codes: Mapping[int, str] = _CODES,
) -> argparse.ArgumentParser:
    """Add a sub-command.

    Args:
        commands: Those of ``leyden``.
        name: What is typed.
        run: The import path of what does it: given what was typed, it returns the exit code. It is
            imported when the command is run, as that takes seconds for most.
        summary: A few words for the list of commands.
        description: What it does, as it is to be shown.
        epilog: Examples, likewise.
        exit_codes: What each means; they are shown after the examples.

    Returns:
        Takes its arguments.
    """
    meanings = "\n".join(f"  {code:<3}  {meaning}" for code, meaning in exit_codes.items())
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"{(epilog or '').strip()}\n\nexit codes:\n{meanings}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run_command=run, summary=summary)
    return parser


def answered(act: Callable[[], None]) -> int:
    """Do what a command asks for, and tell a slip in words instead of a traceback.

    Commands that make models have ``leyden.cli.guard.guarded``, which knows more errors.

    Args:
        act: Does it.

    Returns:
        The exit code: 0, 2 for a user's slip, 130 after Ctrl-C, 141 if nobody reads what is said.
    """
    try:
        act()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        return hang_up()
    except (LeydenError, OSError) as error:
        print(explain_files(error), file=sys.stderr)
        return 2
    return 0


def explain_files(error: LeydenError | OSError) -> str:
    """Say what an error is about; of one of the system's, that it is about files."""
    if isinstance(error, LeydenError):
        return str(error)
    return f"Expected files that can be read and written, but got: {error}."


def hang_up() -> int:
    """Say no more on a standard output whose reader, such as ``head``, has gone.

    Returns:
        The exit code, as of a program that ends by SIGPIPE.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())  # what is left there is written when the process ends
    os.close(nowhere)
    return 128 + signal.SIGPIPE


def count(text: str) -> int:
    """Read a whole number from 1, as the ``type`` of an argument.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"Expected a whole number from 1, but got {text!r}")
    return int(text)

"""How a sub-command of ``leyden`` is added."""

import argparse
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Commands", "add_command"]

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - there is no other name for it
"""The sub-commands, as ``argparse`` keeps them."""


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    summary: str,
    description: str | None = None,
    epilog: str | None = None,
) -> argparse.ArgumentParser:
    """Add a sub-command.

    Args:
        commands: Those of ``leyden``.
        name: What is typed.
        run: Does it; returns the exit code.
        summary: A few words for the list of commands.
        description: What it does, as it is to be shown.
        epilog: Examples, likewise.

    Returns:
        Takes its arguments.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run_command=run)
    return parser

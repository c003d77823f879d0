"""What becomes of a command that fails: a line for a slip, a traceback for a bug."""

import errno
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.exceptions import SIGTERMException

from leyden.cli.command import explain_files, hang_up
from leyden.cli.options import Typed
from leyden.cli.ranks import RanksFailedError
from leyden.config import conf_dir, explain, register_resolvers
from leyden.errors import LeydenError

__all__ = [
    "answer",
    "exit_code",
    "explain_failure",
    "guarded",
    "hydra_hands_errors_on",
    "prepare_process",
    "wants_traceback",
]

_TRAIN = "train"
_FULL_ERROR = "HYDRA_FULL_ERROR"
_PATHS = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)  # a slip in what was typed
_DISK = {
    errno.ENOSPC: "Free space there",
    errno.EDQUOT: "Free some of your quota",
    errno.EFBIG: "Raise the limit of file sizes (`ulimit -f`)",
    errno.EROFS: "Make the file system writable",
    errno.EIO: "Check the disk",
}


def guarded(act: Callable[[], None], config_name: str = _TRAIN) -> int:
    """Do something that a command line asks for.

    Args:
        act: Does it.
        config_name: The configuration whose keys are meant in errors.

    Returns:
        The exit code: 0, 2 for a user's slip, 130 after Ctrl-C, 141 if nobody reads what is said,
        143 after SIGTERM.
    """
    prepare_process()
    try:
        act()
        sys.stdout.flush()
    except (KeyboardInterrupt, SystemExit) as exit_:
        return exit_code(exit_)
    except BrokenPipeError:
        return hang_up()
    except Exception as error:
        line = _explain(error, config_name)
        if line is None or wants_traceback():
            raise
        print(line, file=sys.stderr)
        return 2
    return 0


def _explain(error: Exception, config_name: str) -> str | None:
    if isinstance(error, OSError) and not isinstance(error, LeydenError):
        return explain_files(error)
    line = explain(error, conf_dir(), config_name)
    return None if line is None else " ".join(line.split())


def wants_traceback() -> bool:
    """Say whether the user asked, as Hydra has it, for tracebacks of slips too."""
    return os.environ.get(_FULL_ERROR) == "1"


def answer(error: Exception, typed: Typed | None = None) -> int | None:
    """Tell a user in a line what went wrong.

    Args:
        error: What ended a run.
        typed: The command line, where it names files of a user's own.

    Returns:
        The exit code, 2 for a slip; ``None`` if the error is a bug of which nothing was told.
    """
    line = explain_failure(error, typed)
    if line is not None:
        print(line, file=sys.stderr)
        return 1 if isinstance(error, RanksFailedError) else 2
    return None


def explain_failure(error: Exception, typed: Typed | None = None) -> str | None:
    """Say in a line why a run ended, and what to do about it.

    Args:
        error: What ended it.
        typed: The command line, where it names files of a user's own.

    Returns:
        The line; ``None`` if the error is a bug.
    """
    if isinstance(error, RanksFailedError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _DISK:
        where = f" in {error.filename}" if error.filename else ""
        remedy = f"{_DISK[error.errno]}, then go on: leyden resume RUN."
        return f"Expected a disk that can be written to, but got: {error.strerror}{where}. {remedy}"
    if isinstance(error, OSError) and error.errno in _PATHS and error.filename:
        return explain_files(error)
    if isinstance(error, MisconfigurationException):  # such as a metric that nobody logs
        return " ".join(str(error).split())
    name, folder = (_TRAIN, None) if typed is None else (typed.name, typed.folder)
    return explain(error, conf_dir(), name, folder)


def prepare_process() -> None:
    """Do what every training from a configuration needs to have been done."""
    register_resolvers()
    # Lightning reads a torch class that torch has deprecated; nothing for a user to change.
    warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
    # Lightning calls what torch has deprecated; likewise.
    warnings.filterwarnings("ignore", r"torch\.distributed\.nn\.functional\.all_gather is")
    # The folder of checkpoints is shared with `ExactResume`, on purpose.
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")


def exit_code(exit_: KeyboardInterrupt | SystemExit) -> int:
    """Say how the process ended, as shells do: 128 and the number of the signal.

    Args:
        exit_: What ends it.
    """
    if isinstance(exit_, SIGTERMException):
        return 128 + signal.SIGTERM
    # Lightning ends with code 1 after Ctrl-C.
    if isinstance(exit_, KeyboardInterrupt) or isinstance(exit_.__context__, KeyboardInterrupt):
        return 128 + signal.SIGINT
    return int(exit_.code or 0)


@contextmanager
def hydra_hands_errors_on() -> Iterator[None]:
    """Have Hydra raise what it would print."""
    before = os.environ.get(_FULL_ERROR)
    os.environ[_FULL_ERROR] = "1"
    try:
        yield
    finally:
        os.environ.pop(_FULL_ERROR)
        if before is not None:
            os.environ[_FULL_ERROR] = before

"""What becomes of a command that fails: a line for a slip, a traceback for a bug."""

import os
import sys
from collections.abc import Callable

from leyden.cli.train import exit_code, prepare_process
from leyden.config import conf_dir, explain
from leyden.errors import LeydenError

__all__ = ["guarded"]


def guarded(act: Callable[[], None], config_name: str = "train") -> int:
    """Do something that a command line asks for.

    Args:
        act: Does it.
        config_name: The configuration whose keys are meant in errors.

    Returns:
        The exit code: 0, 2 for a user's slip, 130 after Ctrl-C, 143 after SIGTERM.
    """
    prepare_process()
    try:
        act()
    except (KeyboardInterrupt, SystemExit) as exit_:
        return exit_code(exit_)
    except Exception as error:
        line = _explain(error, config_name)
        if line is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(line, file=sys.stderr)
        return 2
    return 0


def _explain(error: Exception, config_name: str) -> str | None:
    if isinstance(error, OSError) and not isinstance(error, LeydenError):
        return f"Expected files that can be read and written, but got: {error}."
    line = explain(error, conf_dir(), config_name)
    return None if line is None else " ".join(line.split())

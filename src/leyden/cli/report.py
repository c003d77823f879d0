"""``leyden report``: a run on one page."""

import argparse
import sys
from pathlib import Path

from leyden.cli.command import answered, explain_files
from leyden.errors import LeydenError
from leyden.report import write_page
from leyden.runs import RunDir

__all__ = ["renew_page", "run_report"]


def run_report(arguments: argparse.Namespace) -> int:
    """Write the page that the command line names, and say where it is.

    Args:
        arguments: What ``add_report`` made of it.

    Returns:
        The exit code: 0, or 2 for a user's slip.
    """
    return answered(lambda: print(write_page(arguments.run, arguments.output)))


def renew_page(run: RunDir) -> Path | None:
    """Write the page of a run again, if there is one, after something was added to the run.

    A page that cannot be written is told of, and is no reason for a command to fail.

    Args:
        run: The run.

    Returns:
        The page; ``None`` if there is none, or it could not be written.
    """
    if not run.page_path.is_file():
        return None
    try:
        return write_page(run.path)
    except (LeydenError, OSError) as error:
        print(f"{run.page_path} is as it was: {explain_files(error)}", file=sys.stderr)
        return None

"""``leyden report``: a run on one page."""

import argparse
import sys
from pathlib import Path

from leyden.cli.command import Commands, add_command
from leyden.errors import LeydenError
from leyden.report import write_page

__all__ = ["add_report"]

_DESCRIPTION = """Write what is known about a run as one page that needs nothing else: its facts,
curves that can be zoomed, which set was used when, its layers, incidents and environment. The run
may still be going on."""

_EPILOG = """examples:
  leyden report runs/2026-11-21/09-06-10-cnn-auto                   report.html in the run's folder
  leyden report runs/2026-11-21/09-06-10-cnn-auto --output cnn.html
"""


def add_report(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "report",
        run_report,
        summary="write a run as one page",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        exit_codes={0: "the page is written", 2: "this is no run, or the page cannot be written"},
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    parser.add_argument("--output", type=Path, metavar="FILE", help="instead of RUN/report.html")


def run_report(arguments: argparse.Namespace) -> int:
    """Write the page that the command line names, and say where it is.

    Args:
        arguments: What ``add_report`` made of it.

    Returns:
        The exit code: 0, or 2 for a user's slip.
    """
    try:
        print(write_page(arguments.run, arguments.output))
    except LeydenError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        target = arguments.output or arguments.run
        print(f"Expected to write the page, but got '{error}' for {target}.", file=sys.stderr)
        return 2
    return 0

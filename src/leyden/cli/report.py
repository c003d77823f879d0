"""``leyden report``: a run on one page."""

import argparse

from leyden.cli.command import answered
from leyden.report import write_page

__all__ = ["run_report"]


def run_report(arguments: argparse.Namespace) -> int:
    """Write the page that the command line names, and say where it is.

    Args:
        arguments: What ``add_report`` made of it.

    Returns:
        The exit code: 0, or 2 for a user's slip.
    """
    return answered(lambda: print(write_page(arguments.run, arguments.output)))

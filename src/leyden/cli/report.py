"""``leyden report``: a run on one page."""

import argparse
import sys

from leyden.errors import LeydenError
from leyden.report import write_page

__all__ = ["run_report"]


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

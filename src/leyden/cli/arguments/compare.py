"""What ``leyden compare`` takes."""

import argparse
from pathlib import Path

from leyden.cli.command import Commands, add_command

__all__ = ["add_compare"]

_DESCRIPTION = """Compare two evaluations row by row: how many rows got better, how many worse, by
how much, in which sets, and which are the most different. Each is named by its folder, or by that
of a run for its newest one. Neither model nor data is needed."""

_EPILOG = """examples:
  leyden compare RUN OTHER                      two runs
  leyden compare RUN/evaluation/<time>/<step> RUN/evaluation/<time>/<step>
  leyden compare RUN OTHER --by loss --rows 20  by a column of the records
  leyden compare RUN OTHER --output rows.csv    every row, in a file
"""


def add_compare(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "compare",
        "leyden.cli.compare:run_compare",
        summary="compare two evaluations row by row",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("before", type=Path, metavar="ONE", help="an evaluation, or a run")
    parser.add_argument("after", type=Path, metavar="OTHER", help="likewise")
    parser.add_argument(
        "--by",
        default="auto",
        metavar="NAME",
        help="confidence, log_loss, correct, absolute_error, squared_error, or a column",
    )
    parser.add_argument(
        "--higher-is-better",
        action=argparse.BooleanOptionalAction,
        help="if the name does not tell",
    )
    parser.add_argument("--rows", type=int, default=5, metavar="N", help="shown of each kind (5)")
    parser.add_argument("--sets", type=int, default=10, metavar="N", help="shown (10)")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="every row, as .csv or .parquet"
    )

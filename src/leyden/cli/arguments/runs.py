"""What ``leyden runs`` takes."""

from pathlib import Path

from leyden.cli.command import Commands, add_command, count

__all__ = ["add_runs"]

_DESCRIPTION = """List runs, the newest first: how they stand, how long they took, what came
out. A run that was killed is interrupted, whatever it says of itself. Trials, which were made with
debug=..., are hidden unless --all is given. With two folders of runs, show what their
configurations, their code and their results disagree in."""

_EPILOG = """examples:
  leyden runs                                   all below runs/, jobs of sweeps among them
  leyden runs runs/2026-11-21 --sort test/loss  of one day, the lowest test loss first
  leyden runs RUN OTHER                         what is different, and what came of it
  leyden runs RUN OTHER --diff                  with the lines of code that differ
"""


def add_runs(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "runs",
        "leyden.cli.runs:run_runs",
        summary="list runs, or compare two",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        exit_codes={0: "shown", 2: "there are no runs, or one of the two is none"},
    )
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="DIR", help="where to look (runs), or two runs"
    )
    parser.add_argument("--last", type=count, metavar="N", help="only the first N of the list")
    parser.add_argument("--sort", metavar="METRIC", help="by a result, the lowest first")
    parser.add_argument("--all", action="store_true", help="trials made with debug=... too")
    parser.add_argument(
        "--diff", action="store_true", help="with two runs: the lines of code that differ"
    )
    parser.add_argument(
        "--metrics", nargs="+", metavar="METRIC", help="results to show, instead of the first few"
    )

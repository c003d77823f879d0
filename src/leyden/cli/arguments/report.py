"""What ``leyden report`` takes."""

from pathlib import Path

from leyden.cli.command import Commands, add_command

__all__ = ["add_report"]

_DESCRIPTION = """Write what is known about a run as one page that needs nothing else: its facts,
curves that can be zoomed, which set was used when, its layers, evaluations, incidents and
environment. The run may still be going on."""

_EPILOG = """examples:
  leyden report runs/2026-11-21/09-06-10-M1__cnn                    report.html in the run's folder
  leyden report runs/2026-11-21/09-06-10-M1__cnn --output cnn.html
"""


def add_report(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "report",
        "leyden.cli.report:run_report",
        summary="write a run as one page",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        exit_codes={0: "the page is written", 2: "this is no run, or the page cannot be written"},
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    parser.add_argument("--output", type=Path, metavar="FILE", help="instead of RUN/report.html")

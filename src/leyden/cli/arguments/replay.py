"""What ``leyden replay`` takes."""

from pathlib import Path

from leyden.cli.command import Commands, add_command

__all__ = ["SOURCES", "add_replay"]

SOURCES = ("auto", "incident", "checkpoint")
"""Values of ``leyden.incidents.Source``, importing which takes seconds."""

_DESCRIPTION = """Make a step of a run again, bit for bit, and show its loss beside that of the run,
where its batch comes from, and the first value in it that is not finite. The run is not touched."""

_EPILOG = """examples:
  leyden replay runs/2026-11-21/09-06-10-M1__cnn --step 370
  leyden replay runs/2026-11-21/09-06-10-M1__cnn --step 360 --until 370   360 to 369, one by one
  leyden replay runs/2026-11-21/09-06-10-M1__cnn/incidents/370

From Python, `leyden.replay(RUN, step=370)` returns the module, the batch and the rest as they were
before the step.
"""


def add_replay(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "replay",
        "leyden.cli.replay:run_replay",
        summary="make a step of a run again",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        exit_codes={
            0: "made again, and equal as far as the run has kept it",
            1: "a loss is not that of the run",
            2: "it cannot be made again; the line says why",
        },
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run or an incident")
    parser.add_argument("--step", type=int, metavar="N", help="the optimizer step, from 1")
    parser.add_argument("--until", type=int, metavar="M", help="make the steps N to M - 1")
    parser.add_argument(
        "--from",
        dest="source",
        choices=SOURCES,
        default="auto",
        help="start from what was kept of the step, or from a checkpoint before it",
    )

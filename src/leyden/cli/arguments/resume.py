"""What ``leyden resume`` takes."""

from pathlib import Path

from leyden.cli.command import Commands, add_command

__all__ = ["add_resume"]

_DESCRIPTION = """Go on with a run where it was left: after Ctrl-C, SIGTERM, an error, `kill -9` or
a power cut. What comes out is what would have come out without the interruption."""

_EPILOG = """examples:
  leyden resume runs/2026-11-21/09-06-10-M1__cnn
  leyden resume runs/2026-11-21/09-06-10-M1__cnn trainer.max_epochs=20   train longer

A sweep is gone on with by its own command.
"""


def add_resume(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "resume",
        "leyden.cli.resume:run_resume",
        summary="go on with a run that was interrupted",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        exit_codes={
            0: "the run ended well, or was finished already",
            1: "a bug: there is a traceback",
            2: "a slip of yours, or nothing to go on with; the line says which",
            130: "Ctrl-C; the same command goes on",
            143: "SIGTERM, likewise",
        },
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of the run")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="what is to be other than it was"
    )

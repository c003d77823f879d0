"""What ``leyden new`` takes."""

from pathlib import Path

from leyden.cli.command import Commands, add_command

__all__ = ["add_new"]

_DESCRIPTION = """Make a project of your own that trains with leyden: a package with a network and
real data to begin with, its configuration, a script, a test, and a README that says what to change.
Nothing has to be downloaded."""

_EPILOG = """examples:
  leyden new heart-beats
  leyden new ~/projects/heart-beats     elsewhere

Then, in its folder: python train.py, and pytest.
"""


def add_new(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "new",
        "leyden.cli.new:run_new",
        summary="make a project that imports leyden, ready to run",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        exit_codes={0: "made", 2: "not made, and nothing was written; the line says why"},
    )
    parser.add_argument("path", type=Path, metavar="NAME", help="of the project, or its folder")

"""What ``leyden inspect`` takes."""

from pathlib import Path

from leyden.cli.command import Commands, add_command

__all__ = ["add_inspect"]

_DESCRIPTION = """Show what is inferred from a folder of numbered shards: sets, rows, shapes,
labels and classes, for each phase that has a sub-folder of its own. Nothing is trained."""

_EPILOG = """examples:
  leyden inspect data/digits
  leyden inspect shards --verify                 is it still what `leyden pack` wrote?
  leyden inspect scans --inputs image=img age    several arrays in each shard
"""


def add_inspect(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "inspect",
        "leyden.cli.inspect:run_inspect",
        summary="show what is inferred from a folder of shards",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        exit_codes={
            0: "it can be trained on",
            2: "it cannot be read, or differs from what was packed",
        },
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder, or one file of sets")
    parser.add_argument(
        "--verify", action="store_true", help="compare all files with the manifest of `leyden pack`"
    )
    parser.add_argument(
        "--inputs",
        nargs="+",
        metavar="NAME",
        help="several arrays of inputs in each shard: their names, or NAME=ARRAY",
    )

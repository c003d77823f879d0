"""``leyden inspect``: what is in a folder of shards."""

import argparse
import sys
from pathlib import Path

from leyden.cli.command import Commands, add_command
from leyden.data import AutoDataModule
from leyden.errors import LeydenError
from leyden.shards import verify_pack

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
        run_inspect,
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


def run_inspect(arguments: argparse.Namespace) -> int:
    """Describe the folder that the command line names.

    Args:
        arguments: What ``add_inspect`` made of it.

    Returns:
        The exit code: 0, or 2 for a user's slip.
    """
    folder, inputs, verify = arguments.folder, arguments.inputs, arguments.verify
    try:
        packed = _packed_folders(folder) if verify else []
        for part in packed:
            verify_pack(part)
        named = {name: array or name for name, _, array in (i.partition("=") for i in inputs or ())}
        print(AutoDataModule(folder, inputs=named or None).describe())
        for part in packed:
            print(f"verified: {part} is as it was packed")
    except LeydenError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _packed_folders(folder: Path) -> list[Path]:
    """The folder itself, or those of its phases that have a manifest where it has none."""
    if (folder / "manifest.json").is_file():
        return [folder]
    return sorted(path.parent for path in folder.glob("*/manifest.json")) or [folder]

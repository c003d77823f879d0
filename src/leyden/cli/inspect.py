"""``leyden inspect``: what is in a folder of shards."""

import argparse
import sys
from pathlib import Path

from leyden.data import AutoDataModule
from leyden.errors import LeydenError
from leyden.shards import verify_pack

__all__ = ["run_inspect"]


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

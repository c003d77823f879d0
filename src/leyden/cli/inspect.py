"""``leyden inspect``: what is in a folder of shards."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from leyden.cli.command import answered
from leyden.data import AutoDataModule
from leyden.shards import verify_pack

__all__ = ["run_inspect"]


def run_inspect(arguments: argparse.Namespace) -> int:
    """Describe the folder that the command line names.

    Args:
        arguments: What ``add_inspect`` made of it.

    Returns:
        The exit code: 0, or 2 for a user's slip.
    """
    return answered(lambda: _inspect(arguments.folder, arguments.inputs, arguments.verify))


def _inspect(folder: Path, inputs: Sequence[str] | None, verify: bool) -> None:
    packed = _packed_folders(folder) if verify else []
    for part in packed:
        verify_pack(part)
    named = {name: array or name for name, _, array in (i.partition("=") for i in inputs or ())}
    print(AutoDataModule(folder, inputs=named or None).describe())
    for part in packed:
        print(f"verified: {part} is as it was packed")


def _packed_folders(folder: Path) -> list[Path]:
    """The folder itself, or those of its phases that have a manifest where it has none."""
    if (folder / "manifest.json").is_file():
        return [folder]
    return sorted(path.parent for path in folder.glob("*/manifest.json")) or [folder]

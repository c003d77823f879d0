"""``leyden inspect``: what is in a folder of shards."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from leyden.cli.command import answered
from leyden.data import AutoDataModule
from leyden.errors import ConfigError
from leyden.shards import find_manifest, verify_pack

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
    print(AutoDataModule(folder, inputs=_named(inputs or ()) or None).describe())
    for part in packed:
        print(f"verified: {part} is as it was packed")


def _named(inputs: Sequence[str]) -> dict[str, str]:
    """Take names of inputs, and of the arrays that they are, from such as ``image=img``."""
    named: dict[str, str] = {}
    for name, _, array in (given.partition("=") for given in inputs):
        if name in named:
            raise ConfigError(f"Expected each name in `--inputs` once, but got {name!r} twice.")
        named[name] = array or name
    return named


def _packed_folders(folder: Path) -> list[Path]:
    """The folder itself, and those in it, that were packed; itself if none was, to be refused."""
    places = [folder, *sorted(path.parent for path in folder.glob("*/manifest.json"))]
    return [place for place in places if find_manifest(place)] or [folder]

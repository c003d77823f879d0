"""Arrays by their set numbers, written as shards at once."""

import shutil
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from leyden.errors import ConfigError, DataError
from leyden.files import make_folder, placing, replacing
from leyden.types import Array

__all__ = ["check_base", "create_folder", "write_shards"]


def create_folder(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Make a folder that is there whole or not at all, whoever else makes it at the same time.

    Args:
        folder: The folder; if it exists, it is left alone.
        fill: Writes the content into the folder it is given.

    Returns:
        ``folder``.

    Raises:
        WriteError: If there can be no such folder.
    """
    if folder.is_dir():
        return folder
    with placing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fill(temporary)
        temporary.chmod(0o755)  # mkdtemp makes folders for their owner only
        _rename_new(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _rename_new(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was first, with the same content
            raise


def write_shards(
    folder: str | PathLike[str],
    inputs: Mapping[int, Array],
    *,
    labels: Mapping[int, Array] | None = None,
    base: str = "sample__",
) -> None:
    """Write one ``.npy`` file per set, and ``labels.npz`` with an array per set.

    Args:
        folder: Where to; made if it does not exist.
        inputs: Rows of each set, ``(rows, ...)``, by set number.
        labels: Labels of each set, ``(rows, ...)``, by set number.
        base: What the file names begin with, before the set number.

    Raises:
        ConfigError: If ``base`` ends in a digit, which would become part of the number.
        DataError: If an array holds Python objects.
        WriteError: If there can be no such folder.
    """
    check_base(base)
    for number, array in (*inputs.items(), *(labels or {}).items()):
        if array.dtype.hasobject:
            raise DataError(f"Expected numbers in set {number}, but got Python objects.")
    folder = make_folder(Path(folder))
    for number, array in inputs.items():
        with replacing(folder / f"{base}{number}.npy") as temporary:
            np.save(temporary, array, allow_pickle=False)
    if labels is not None:
        named: dict[str, Any] = {str(number): array for number, array in labels.items()}
        with replacing(folder / "labels.npz") as temporary:
            np.savez(temporary, **named)


def check_base(base: str) -> None:
    """Make sure that file names can begin with something, and a set number follow.

    Args:
        base: What the file names begin with.

    Raises:
        ConfigError: If it is no text, ends in a digit, names a folder, or hides the files.
    """
    given: object = base
    if not isinstance(given, str):
        raise ConfigError(f"Expected `base` to be text, but got {base!r}.")
    if base[-1:].isdecimal():
        raise ConfigError(f"Expected `base` not to end in a digit, but got {base!r}.")
    if "/" in base or base.startswith("."):
        problem = "Expected `base` to be the beginning of a name that is not hidden"
        raise ConfigError(f"{problem}, but got {base!r}.")

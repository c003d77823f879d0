"""Open arrays of HDF5 files, ``.h5`` and ``.hdf5``.

Arrays that lie in one uncompressed piece are mapped into memory; the others are read whole once:
picking rows out of a chunked array takes h5py up to a thousand times as long.
"""

import math
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from leyden._extras import require
from leyden.shards.readers.base import (
    ArrayReader,
    FileState,
    check_numbers,
    choose_array,
    map_array,
    reading,
    state_of,
)
from leyden.shards.readers.words import TEXT, as_words
from leyden.types import Array, Key

__all__ = ["Hdf5Reader", "hdf5_keys"]


class _Dataset(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int | None  # where its numbers are, if they are in one piece


class Hdf5Reader(ArrayReader):
    """One array at the top level of an HDF5 file.

    Args:
        path: The file.
        key: Name of the array; ``None`` if there is one only.

    Raises:
        MissingExtraError: If h5py is not installed.
        ShardError: If the file is damaged, or has no such array of numbers.
    """

    def __init__(self, path: Path, key: Key = None) -> None:
        datasets = _datasets(path)
        name = choose_array(path, key, datasets)
        shape, dtype, offset = datasets[name]
        check_numbers(dtype, path)
        if offset is None:
            super().__init__(shape, dtype, partial(_load, path, name))
        else:
            load = partial(map_array, path, dtype, shape, offset)
            super().__init__(shape, dtype, load, is_mapped=True)


def hdf5_keys(path: Path) -> tuple[str, ...]:
    """List the arrays at the top level of an HDF5 file.

    Raises:
        MissingExtraError: If h5py is not installed.
        ShardError: If the file is missing or damaged.
    """
    return tuple(_datasets(path))


def _h5py(path: Path) -> ModuleType:
    return require("h5py", extra="h5", needed_for=f"{path.name!r}")


def _open(path: Path) -> Any:
    # Data are read only, and some network file systems have no locks.
    return _h5py(path).File(path, "r", locking=False)


def _load(path: Path, name: str) -> Array:
    with _open(path) as file:
        dataset = file[name]
        is_text = _h5py(path).check_string_dtype(dataset.dtype) is not None
        array: Array = dataset.asstr()[...] if is_text else dataset[...]
    return as_words(array) if is_text else array


def _datasets(path: Path) -> Mapping[str, _Dataset]:
    with reading(path):
        return _list_datasets(path, state_of(path))


@lru_cache(maxsize=4)  # a file of labels is asked for array by array
def _list_datasets(path: Path, _state: FileState) -> Mapping[str, _Dataset]:
    h5py = _h5py(path)
    with path.open("rb"):  # for what the system says of a file that cannot be opened
        pass
    with _open(path) as file:
        # What other files hold could change behind our back.
        names = [n for n in file if not isinstance(file.get(n, getlink=True), h5py.ExternalLink)]
        found = {name: file.get(name) for name in names}
        return {
            name: _describe(item, h5py)
            for name, item in found.items()
            if isinstance(item, h5py.Dataset) and not (item.external or item.is_virtual)
        }


def _describe(dataset: Any, h5py: ModuleType) -> _Dataset:
    shape = tuple(dataset.shape or ())
    try:
        dtype = np.dtype(dataset.dtype)
    except TypeError:  # a type that NumPy does not have
        return _Dataset(shape, np.dtype(object), None)
    if h5py.check_string_dtype(dtype) is not None:  # of any length, and no Python objects
        return _Dataset(shape, TEXT, None)
    in_one_piece = dataset.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
    is_written = dataset.id.get_storage_size() == math.prod(shape) * dtype.itemsize > 0
    return _Dataset(shape, dtype, dataset.id.get_offset() if in_one_piece and is_written else None)

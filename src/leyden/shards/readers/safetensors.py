"""Open arrays of ``.safetensors`` files, mapped into memory."""

import json
import math
import os
import struct
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from leyden.errors import ShardError
from leyden.shards.readers.base import (
    ArrayReader,
    FileState,
    choose_array,
    map_array,
    reading,
    state_of,
)
from leyden.types import Array, Key

__all__ = ["SafetensorsReader", "safetensors_keys"]

_BFLOAT16 = "BF16"
_DTYPES = {  # as NumPy calls them; some of the format's it does not have
    "BOOL": "?",
    "U8": "u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
    "I8": "i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "C64": "<c8",
    _BFLOAT16: "<u2",
}


class _Entry(NamedTuple):
    name: str
    shape: tuple[int, ...]
    offset: int  # within the file
    size: int


class SafetensorsReader(ArrayReader):
    """One array of a ``.safetensors`` file; bfloat16, which NumPy lacks, is read as float32.

    Args:
        path: The file.
        key: Name of the array; ``None`` if there is one only.

    Raises:
        ShardError: If the file is damaged, or has no such array of numbers.
    """

    def __init__(self, path: Path, key: Key = None) -> None:
        entries = _entries(path)
        name = choose_array(path, key, entries)
        dtype_name, shape, offset, size = entries[name]
        if dtype_name not in _DTYPES:
            problem = f"Expected an element type that NumPy has, but got {dtype_name}"
            raise ShardError(f"{problem} in {name!r}. Save it as float32.", path=path)
        stored = np.dtype(_DTYPES[dtype_name])
        if size != math.prod(shape) * stored.itemsize:
            problem = f"Expected {name!r} to have {math.prod(shape) * stored.itemsize} bytes"
            raise ShardError(f"{problem}, but the header says {size}.", path=path)
        load = partial(map_array, path, stored, shape, offset)
        if dtype_name == _BFLOAT16:
            super().__init__(shape, np.dtype(np.float32), lambda: _from_bfloat16(load()))
        else:
            super().__init__(shape, stored, load, is_mapped=True)


def safetensors_keys(path: Path) -> tuple[str, ...]:
    """List the arrays of a ``.safetensors`` file.

    Raises:
        ShardError: If the file is missing or damaged.
    """
    return tuple(_entries(path))


def _from_bfloat16(bits: Array) -> Array:
    """Widen to float32, of which bfloat16 is the first half."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _entries(path: Path) -> Mapping[str, _Entry]:
    with reading(path):
        return _parse_header(path, state_of(path))


@lru_cache(maxsize=4)  # a file of labels is asked for array by array
def _parse_header(path: Path, _state: FileState) -> Mapping[str, _Entry]:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        (length,) = struct.unpack("<Q", file.read(8))
        if length > size - 8:
            problem = f"Expected a header of {length} bytes, but got {size} in all."
            raise ShardError(f"{problem} The file is truncated, or is another format.", path=path)
        header: dict[str, Any] = json.loads(file.read(length))
    try:
        header.pop("__metadata__", None)
        entries = {name: _entry(entry, 8 + length) for name, entry in header.items()}
    except (TypeError, KeyError, AttributeError) as error:
        raise ShardError(
            f"Expected a .safetensors header, but got: {error!r}.", path=path
        ) from None
    expected = max((entry.offset + entry.size for entry in entries.values()), default=0)
    if size < expected:
        problem = f"Expected {expected} bytes, as the header says, but got {size}: truncated."
        raise ShardError(problem, path=path)
    return entries


def _entry(entry: Any, data_start: int) -> _Entry:
    begin, end = (int(offset) for offset in entry["data_offsets"])
    shape = tuple(int(extent) for extent in entry["shape"])
    if begin < 0 or min(shape, default=0) < 0:
        raise ValueError(f"negative numbers in {entry}")
    return _Entry(str(entry["dtype"]), shape, data_start + begin, end - begin)

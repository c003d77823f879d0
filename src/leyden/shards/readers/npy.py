"""Open ``.npy`` files, mapped into memory.

Shape and dtype come from the header alone. Nothing here unpickles.
"""

import math
import os
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.lib import format as npy_format

from leyden.errors import ShardError
from leyden.shards.readers.base import ArrayReader, check_numbers, map_array
from leyden.shards.readers.words import as_read

__all__ = ["NpyHeader", "NpyReader", "npy_header"]

_NPY_START = 12  # bytes that say how long the header is, in every version
_NPY_LONGEST = 1 << 16  # more than any header of numbers needs


class NpyHeader(NamedTuple):
    """What a ``.npy`` file says of its array.

    Args:
        shape: Its shape.
        is_fortran: Whether the first axis changes fastest.
        stored: Element type as it is stored.
        size: Bytes of the header; the numbers come right behind.
    """

    shape: tuple[int, ...]
    is_fortran: bool
    stored: np.dtype[Any]
    size: int


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class NpyReader(ArrayReader):
    """A ``.npy`` file, mapped into memory.

    Args:
        path: The file.

    Raises:
        ShardError: If the file is shorter or longer than its header says, or holds Python objects.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb", buffering=0) as file:
            shape, is_fortran, stored, offset = npy_header(file, path)
            size = os.fstat(file.fileno()).st_size
        expected = offset + math.prod(shape) * stored.itemsize
        if size < expected:
            problem = f"Expected {expected} bytes, as the header says, but got {size}: truncated."
            raise ShardError(problem, path=path)
        if size > expected:
            problem = f"Expected {expected} bytes, as the header says, but got {size}"
            remedy = "Save each array in a file of its own."
            raise ShardError(f"{problem}: more than one array. {remedy}", path=path)
        mapped = partial(map_array, path, stored, shape, offset, is_fortran=is_fortran)
        dtype, load = as_read(stored, mapped)
        super().__init__(shape, dtype, load, is_mapped=dtype is stored)


def npy_header(file: _Readable, path: Path) -> NpyHeader:
    """Read what comes before the numbers of a ``.npy`` file.

    Args:
        file: Open at its first byte, left at the first byte of the numbers.
        path: Its path, for errors.

    Raises:
        ShardError: If it is no such file, or does not hold numbers.
    """
    start = file.read(_NPY_START)
    width = 2 if start[6:8] == b"\x01\x00" else 4
    size = 8 + width + int.from_bytes(start[8 : 8 + width], "little")
    header = start + file.read(max(0, min(size, _NPY_LONGEST) - _NPY_START))
    try:
        shape, is_fortran, dtype = _parse_npy_header(header)
    except (ValueError, TypeError, SyntaxError, TokenError) as error:
        raise ShardError(f"Expected a .npy header, but got: {error}", path=path) from None
    if min(shape, default=0) < 0:
        raise ShardError(f"Expected a .npy header, but got the shape {shape}.", path=path)
    check_numbers(dtype, path)
    return NpyHeader(shape, is_fortran, dtype, size)


@lru_cache(maxsize=256)  # shards of one length have one header
def _parse_npy_header(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    file = BytesIO(header)
    version = npy_format.read_magic(file)
    read = (
        npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    )
    shape, is_fortran, dtype = read(file)
    return tuple(shape), is_fortran, dtype

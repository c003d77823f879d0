"""Open ``.npy`` files, mapped into memory, and read arrays from streams of that format.

Shape and dtype come from the header alone. Nothing here unpickles.
"""

import math
import os
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.lib import format as npy_format

from leyden.errors import ShardError
from leyden.shards.readers.base import ArrayReader, check_numbers, map_array
from leyden.shards.readers.words import as_read
from leyden.types import Array

__all__ = ["NpyHeader", "NpyReader", "check_size", "npy_header", "read_numbers"]

_NPY_START = 12  # bytes that say how long the header is, in every version
_NPY_LONGEST = 1 << 16  # more than any header of numbers needs
_TWO_ARRAYS = "more than one array. Save each array in a file of its own."
_PIECE = 1 << 24  # bytes that are read from a stream at a time


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

    @property
    def num_bytes(self) -> int:
        """Length of the numbers."""
        return math.prod(self.shape) * self.stored.itemsize


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Stream(_Readable, Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...


class NpyReader(ArrayReader):
    """A ``.npy`` file, mapped into memory.

    Args:
        path: The file.

    Raises:
        ShardError: If the file is shorter or longer than its header says, or holds Python objects.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb", buffering=0) as file:
            header = npy_header(file, path)
            size = os.fstat(file.fileno()).st_size
        check_size(header, size, path)
        shape, is_fortran, stored, offset = header
        mapped = partial(map_array, path, stored, shape, offset, is_fortran=is_fortran)
        dtype, load = as_read(stored, mapped)
        super().__init__(shape, dtype, load, is_mapped=dtype is stored)


def check_size(header: NpyHeader, size: int, path: Path) -> None:
    """Make sure that a ``.npy`` file is as long as its header says.

    Args:
        header: What it says.
        size: Length of the file, header and all, bytes.
        path: Its path, for errors.

    Raises:
        ShardError: If it is shorter or longer.
    """
    expected = header.size + header.num_bytes
    problem = f"Expected {expected} bytes, as the header says, but got {size}"
    if size < expected:
        raise ShardError(f"{problem}: truncated.", path=path)
    if size > expected:
        raise ShardError(f"{problem}: {_TWO_ARRAYS}", path=path)


def read_numbers(stream: _Stream, header: NpyHeader, path: Path) -> Array:
    """Read an array from a stream that ends with it.

    Args:
        stream: Open behind the header.
        header: What that says.
        path: Where the stream comes from, for errors.

    Raises:
        ShardError: If the stream is shorter or longer than the header says.
        MemoryError: If it is not, and there is no memory for so much.
    """
    try:
        content = np.empty(header.num_bytes, np.uint8)
    except MemoryError:  # which a damaged header may be to blame for
        filled = sum(map(len, iter(partial(stream.read, _PIECE), b"")))
        _check_filled(header, filled, path)
        raise
    buffer, filled = content.data, 0
    while filled < len(buffer) and (count := stream.readinto(buffer[filled : filled + _PIECE])):
        filled += count
    filled += len(stream.read(1))  # what ends the stream may be a checksum
    _check_filled(header, filled, path)
    order: Literal["F", "C"] = "F" if header.is_fortran else "C"
    return np.ndarray(header.shape, header.stored, buffer, order=order)


def _check_filled(header: NpyHeader, filled: int, path: Path) -> None:
    problem = f"Expected {header.num_bytes} bytes of numbers, as the header says, but got"
    if filled < header.num_bytes:
        raise ShardError(f"{problem} {filled}: truncated.", path=path)
    if filled > header.num_bytes:
        raise ShardError(f"{problem} more: {_TWO_ARRAYS}", path=path)


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

"""Open compressed arrays, ``.npy.lz4`` and ``.npy.zst``.

To know shape and dtype, only the first block is decompressed; the rest when a row is asked for.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from leyden._extras import require
from leyden.errors import ShardError
from leyden.shards.readers.base import ArrayReader
from leyden.shards.readers.npy import NpyHeader, npy_header
from leyden.shards.readers.words import as_read
from leyden.types import Array

__all__ = ["Lz4Reader", "ZstdReader"]

_PIECE = 1 << 24  # bytes decompressed at a time

_Opener: TypeAlias = Callable[[Path], Any]


class Lz4Reader(ArrayReader):
    """A ``.npy`` file in an LZ4 frame; decompressed whole at the first read.

    Args:
        path: The file.

    Raises:
        MissingExtraError: If lz4 is not installed.
        ShardError: If the file is damaged, or holds Python objects.
    """

    def __init__(self, path: Path) -> None:
        header = _read_header(path, _open_lz4)
        super().__init__(
            header.shape, *as_read(header.stored, partial(_load, path, header, _open_lz4))
        )


class ZstdReader(ArrayReader):
    """A ``.npy`` file compressed by Zstandard; decompressed whole at the first read.

    Args:
        path: The file.

    Raises:
        MissingExtraError: If zstandard is not installed.
        ShardError: If the file is damaged, or holds Python objects.
    """

    def __init__(self, path: Path) -> None:
        header = _read_header(path, _open_zstd)
        super().__init__(
            header.shape, *as_read(header.stored, partial(_load, path, header, _open_zstd))
        )


@contextmanager
def _open_lz4(path: Path) -> Iterator[Any]:
    lz4 = require("lz4.frame", extra="lz4", needed_for=f"{path.name!r}")
    with lz4.open(path) as stream:
        yield stream


@contextmanager
def _open_zstd(path: Path) -> Iterator[Any]:
    zstandard = require("zstandard", extra="zstd", needed_for=f"{path.name!r}")
    try:
        with path.open("rb") as file:
            yield zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    except zstandard.ZstdError as error:
        raise ShardError(f"Expected an intact file, but got: {error}.", path=path) from None


def _read_header(path: Path, open_stream: _Opener) -> NpyHeader:
    with open_stream(path) as stream:
        return npy_header(stream, path)


def _load(path: Path, header: NpyHeader, open_stream: _Opener) -> Array:
    size = math.prod(header.shape) * header.stored.itemsize
    content, filled = np.empty(size, np.uint8), 0
    buffer = content.data
    with open_stream(path) as stream:
        stream.read(header.size)
        while filled < size and (count := stream.readinto(buffer[filled : filled + _PIECE])):
            filled += count
        stream.read(1)  # what ends the stream may be a checksum
    if filled < size:
        problem = f"Expected {size} bytes of numbers, as the header says, but got {filled}"
        raise ShardError(f"{problem}: truncated.", path=path)
    array: Array = content.view(header.stored)
    return array.reshape(header.shape, order="F" if header.is_fortran else "C")

"""Open compressed arrays, ``.npy.lz4`` and ``.npy.zst``.

To know shape and dtype, only the first block is decompressed; the rest when a row is asked for.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from leyden._extras import require
from leyden.errors import ShardError
from leyden.shards.readers.base import ArrayReader
from leyden.shards.readers.npy import NpyHeader, npy_header, read_numbers
from leyden.shards.readers.words import as_read
from leyden.types import Array

__all__ = ["Lz4Reader", "ZstdReader"]

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
            source = _Followed(file, zstandard.compress(b""))
            yield zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
    except zstandard.ZstdError as error:
        raise ShardError(f"Expected an intact file, but got: {error}.", path=path) from None


class _Followed:
    """A file with a frame of nothing behind its end.

    Decompression that comes to the end of a file before that of a frame, such as a checksum, says
    nothing of it; here it takes the frame for what is missing, and fails.

    Args:
        file: The file.
        frame: The frame.
    """

    def __init__(self, file: BinaryIO, frame: bytes) -> None:
        self._file, self._frame = file, frame

    def read(self, size: int) -> bytes:
        content = self._file.read(size)
        if not content:
            content, self._frame = self._frame, b""
        return content


def _read_header(path: Path, open_stream: _Opener) -> NpyHeader:
    with open_stream(path) as stream:
        return npy_header(stream, path)


def _load(path: Path, header: NpyHeader, open_stream: _Opener) -> Array:
    with open_stream(path) as stream:
        stream.read(header.size)
        return read_numbers(stream, header, path)

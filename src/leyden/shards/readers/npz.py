"""Open arrays of ``.npz`` archives. Nothing here unpickles."""

import os
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path

from leyden.errors import ShardError
from leyden.shards.readers.base import ArrayReader, FileState, choose_array, reading, state_of
from leyden.shards.readers.npy import check_size, npy_header, read_numbers
from leyden.shards.readers.words import as_read
from leyden.types import Array, Key

__all__ = ["NpzReader", "npz_keys"]

_ZIP_LENGTHS = 26  # where a member's header has the lengths of its name and of its extra field


class NpzReader(ArrayReader):
    """One array of a ``.npz`` archive; decompressed whole at the first read.

    Args:
        path: The file.
        key: Name of the array; ``None`` if there is one only.

    Raises:
        ShardError: If the archive is damaged, holds Python objects, or has no such array.
    """

    def __init__(self, path: Path, key: Key = None) -> None:
        members = _npz_members(path)
        name = choose_array(path, key, members)
        member = members[name]
        with _open_member(path, member) as file:
            header = npy_header(file, path)
        check_size(header, member.file_size, path)
        load = partial(_load_member, path, member)
        super().__init__(header.shape, *as_read(header.stored, load))


def _load_member(path: Path, member: zipfile.ZipInfo) -> Array:
    with _open_member(path, member) as file:
        return read_numbers(file, npy_header(file, path), path)


def npz_keys(path: Path) -> tuple[str, ...]:
    """List the arrays of an ``.npz`` archive, in the order they were written.

    Raises:
        ShardError: If the file is missing or damaged.
    """
    return tuple(_npz_members(path))


def _npz_members(path: Path) -> Mapping[str, zipfile.ZipInfo]:
    with reading(path):
        return _list_members(path, state_of(path))


@lru_cache(maxsize=4)  # an archive of labels is asked for array by array
def _list_members(path: Path, _state: FileState) -> Mapping[str, zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile:
        raise ShardError("Expected an .npz archive, but it is damaged.", path=path) from None
    return {
        member.filename.removesuffix(".npy"): member
        for member in members
        if member.filename.endswith(".npy")
    }


@contextmanager
def _open_member(path: Path, member: zipfile.ZipInfo) -> Iterator[zipfile.ZipExtFile]:
    """Open one file of an archive without reading the list of them all again."""
    with path.open("rb") as file:
        file.seek(member.header_offset + _ZIP_LENGTHS)
        file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
        with zipfile.ZipExtFile(file, "r", member) as content:
            yield content

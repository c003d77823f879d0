"""Open arrays of NumPy's formats, ``.npy`` and ``.npz``.

Shape and dtype come from the header alone where the format has one. Nothing here unpickles.
"""

import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy_format

from leyden.errors import LeydenError, ShardError, suggest
from leyden.types import Array, Key, Rows

__all__ = ["NpyReader", "NpzReader", "npz_keys", "reading"]

_DAMAGE = (ValueError, LookupError, EOFError, struct.error, zipfile.BadZipFile, zlib.error)
_ZIP_LENGTHS = 26  # where a member's header has the lengths of its name and of its extra field


@contextmanager
def reading(path: Path, *, set_number: int | None = None) -> Iterator[None]:
    """Turn what a broken file makes the code within raise into an error that says where.

    Args:
        path: The file.
        set_number: Whose rows it holds, once known.

    Raises:
        ShardError: If the file is missing, unreadable or broken.
    """
    try:
        yield
    except ShardError as error:
        error.set_number = set_number if error.set_number is None else error.set_number
        raise
    except LeydenError:
        raise
    except OSError as error:
        problem = f"Expected a readable file, but got: {error.strerror or error}."
        raise ShardError(problem, path=path, set_number=set_number) from error
    except _DAMAGE as error:
        problem = f"Expected an intact file, but got: {error}."
        raise ShardError(problem, path=path, set_number=set_number) from error


class NpyReader:
    """A ``.npy`` file, mapped into memory.

    Args:
        path: The file.

    Raises:
        ShardError: If the file is shorter than its header says, or holds Python objects.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.shape, self._is_fortran, self._stored = _npy_header(file, path)
            self._offset = file.tell()
            size = os.fstat(file.fileno()).st_size
        self._path, self.dtype = path, self._stored.newbyteorder("=")
        expected = self._offset + math.prod(self.shape) * self.dtype.itemsize
        if size < expected:
            problem = f"Expected {expected} bytes, as the header says, but got {size}: truncated."
            raise ShardError(problem, path=path)

    @cached_property
    def _array(self) -> Array:
        if math.prod(self.shape) == 0:  # an empty file cannot be mapped
            return np.empty(self.shape, self.dtype)
        order: Literal["F", "C"] = "F" if self._is_fortran else "C"
        mapped = np.memmap(self._path, self._stored, "r", self._offset, self.shape, order)
        return mapped.view(np.ndarray)

    def read(self, rows: Rows) -> Array:
        """Copy rows out."""
        return np.take(self._array, rows, axis=0).astype(self.dtype, copy=False)


class NpzReader:
    """One array of a ``.npz`` archive; decompressed whole at the first read.

    Args:
        path: The file.
        key: Name of the array; ``None`` if there is one only.

    Raises:
        ShardError: If the archive is damaged, holds Python objects, or has no such array.
    """

    def __init__(self, path: Path, key: Key = None) -> None:
        keys = npz_keys(path)
        if key is None and len(keys) != 1:
            raise ShardError(f"Expected one array, but got {', '.join(keys) or 'none'}.", path=path)
        name = keys[0] if key is None else str(key)
        if name not in keys:
            raise ShardError(f"Expected an array {name!r}. {suggest(name, keys)}", path=path)
        self._path, self._member = path, _npz_members(path)[name]
        with _open_member(path, self._member) as file:
            self.shape, _, stored = _npy_header(file, path)
        self.dtype = stored.newbyteorder("=")

    @cached_property
    def _array(self) -> Array:
        with _open_member(self._path, self._member) as file:
            array: Array = npy_format.read_array(file, allow_pickle=False)
        return array.astype(self.dtype, copy=False)

    def read(self, rows: Rows) -> Array:
        """Copy rows out."""
        return np.take(self._array, rows, axis=0)


def npz_keys(path: Path) -> tuple[str, ...]:
    """List the arrays of an ``.npz`` archive, in the order they were written.

    Raises:
        ShardError: If the file is missing or damaged.
    """
    return tuple(_npz_members(path))


def _npz_members(path: Path) -> Mapping[str, zipfile.ZipInfo]:
    with reading(path):
        facts = path.stat()
        return _list_members(path, (facts.st_mtime_ns, facts.st_size))


@lru_cache(maxsize=4)  # an archive of labels is asked for array by array
def _list_members(path: Path, _state: tuple[int, int]) -> Mapping[str, zipfile.ZipInfo]:
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


def _npy_header(
    file: IO[bytes] | zipfile.ZipExtFile, path: Path
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = npy_format.read_magic(file)
        read = (
            npy_format.read_array_header_1_0
            if version == (1, 0)
            else npy_format.read_array_header_2_0
        )
        shape, fortran_order, dtype = read(file)
    except (ValueError, TypeError, SyntaxError, TokenError) as error:
        raise ShardError(f"Expected a .npy header, but got: {error}", path=path) from None
    if min(shape, default=0) < 0:
        raise ShardError(f"Expected a .npy header, but got the shape {shape}.", path=path)
    if dtype.hasobject:
        problem = (
            "Expected numbers, but got Python objects, which are not loaded because unpickling"
            " runs code. Save the array with a numeric dtype."
        )
        raise ShardError(problem, path=path)
    if dtype.kind not in "biufc":
        raise ShardError(f"Expected numbers, but got {dtype}. Encode them first.", path=path)
    return tuple(shape), fortran_order, dtype

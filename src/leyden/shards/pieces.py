"""Where the rows of one set are, and how they are read from there."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from leyden.errors import ShardError
from leyden.shards.classes import Classes, class_reader
from leyden.shards.formats import OpenFile, ask, count_rows, is_foreign, open_array
from leyden.shards.readers import (
    LARGE,
    ArrayReader,
    FileState,
    reading,
    refusing_lost_pages,
    state_of,
    unload,
)
from leyden.types import Array, Key, Reader, Rows

__all__ = ["OpenPiece", "Piece", "measure"]

_CHANGED = "The file has changed: discover its folder again."


@dataclass(frozen=True, slots=True)
class Piece:
    """Where the rows of one set are: a stretch of one array of one file.

    Args:
        path: The file.
        num_rows: Rows in this set.
        key: Which array of the file; ``None`` for its only one.
        start: First row within the array.
        by_set: Whether the array is stored ``(sets, rows, ...)``; ``start`` counts rows even so.
        shape: Shape of the whole array when it was found; ``()`` if that is not known.
        dtype: Its element type; ``None`` if that is not known.
        state: When the file was written, and its size; ``None`` if that is not known.
        classes: Of labels that are words, which become the classes 0, 1, ...: their names.
    """

    path: Path
    num_rows: int
    key: Key = None
    start: int = 0
    by_set: bool = False
    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] | None = None
    state: FileState | None = None
    classes: Classes | None = None

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.shape[2 if self.by_set else 1 :]

    def check(self) -> None:
        """Make sure that the file is the one that was found; costs microseconds.

        Raises:
            ShardError: If it is missing, or has been written since.
        """
        if self.state is None:
            return
        now = state_of(self.path)
        if now == self.state:
            return
        problem = "Expected the file that was found, but it has been written since."
        if now[1] != self.state[1]:
            problem = f"Expected {self.state[1]} bytes, as when it was found, but got {now[1]}."
        raise ShardError(f"{problem} {_CHANGED}", path=self.path)


def measure(
    path: Path,
    key: Key = None,
    *,
    reader: OpenFile | None = None,
    state: FileState | None = None,
) -> Piece:
    """Find out from its header what one array of a file holds.

    Args:
        path: The file.
        key: Which array; ``None`` for the only one.
        reader: Opens the file instead of the format that its extension names.
        state: What ``state_of`` said of it just now, if that was asked.

    Returns:
        All rows of the array.

    Raises:
        ShardError: If the file is missing or broken, or the array is a single number.
        FormatError: If its extension is not known.
        MissingExtraError: If its format needs a package that is not installed.
    """
    state = state or state_of(path)
    array = open_array(path, key, reader=reader)
    num_rows = count_rows(array, path)
    shape = tuple(int(size) for size in array.shape)  # which may be NumPy's, and is kept as JSON
    return Piece(path, num_rows, key, shape=shape, dtype=np.dtype(array.dtype), state=state)


class OpenPiece:
    """The rows of one set, open for reading.

    Args:
        piece: Where they are.
        set_number: Whose they are, for errors.
        reader: Opens the file instead of the format that its extension names.

    Raises:
        ShardError: If the file is missing or broken, or is not what it was when it was found.
    """

    def __init__(self, piece: Piece, set_number: int, reader: OpenFile | None = None) -> None:
        self._piece, self._set_number = piece, set_number
        with reading(piece.path, set_number=set_number):
            self._reader = _open(piece, reader)
            self._is_foreign = is_foreign(piece.path, reader)
            shape, dtype = tuple(self._reader.shape), np.dtype(self._reader.dtype)
            if piece.shape and (shape, dtype) != (piece.shape, piece.dtype):
                problem = f"Expected {piece.dtype} {piece.shape}, as it was when it was found"
                raise ShardError(f"{problem}, but got {dtype} {shape}. {_CHANGED}", path=piece.path)
            if piece.classes is not None and isinstance(self._reader, ArrayReader):
                self._reader = class_reader(self._reader, piece.classes)

    @property
    def num_rows(self) -> int:
        """Rows of this set."""
        return self._piece.num_rows

    def check(self) -> None:
        """Make sure that the file is the one that was found; costs microseconds.

        Raises:
            ShardError: If it is missing, or has been written since.
        """
        try:
            self._piece.check()
        except ShardError as error:
            error.set_number = self._set_number
            raise

    @cached_property
    def array(self) -> Array | None:
        """All rows of this set, not to be written to, ``(rows, ...)``.

        They are mapped or loaded, and in the byte order and the order of axes that NumPy has by
        default; ``None`` for files that are read row by row. Read from it within
        ``refusing_lost_pages``: a mapped file that became shorter would end the process.

        Raises:
            ShardError: If the file turns out broken, or has been written since it was found.
        """
        piece = self._piece
        if not isinstance(self._reader, ArrayReader) or not self._reader.reads_array:
            return None
        with reading(piece.path, set_number=self._set_number):
            piece.check()
            whole = self._reader.array
        if whole.dtype != self._reader.dtype or not whole.flags.c_contiguous:
            return None
        if piece.by_set:
            one_set: Array = whole[piece.start // piece.num_rows]
            return one_set
        return whole[piece.start : piece.start + piece.num_rows]

    @property
    def is_mapped(self) -> bool:
        """Whether the rows stay in the file until they are used."""
        return isinstance(self._reader, ArrayReader) and self._reader.is_mapped

    @property
    def has_descriptor(self) -> bool:
        """Whether the file counts as open for as long as it is mapped."""
        return self.is_mapped and (self._piece.state or (0, 0))[1] >= LARGE

    def unload(self) -> None:
        """Give back the memory that rows of a mapped file took up; they can be read again."""
        if self.is_mapped and self.array is not None:
            unload(self.array)

    def read(self, rows: Rows) -> Array:
        """Copy rows of this set out.

        Args:
            rows: Indices within the set, ``(n,)``, in any order.

        Returns:
            The rows in that order, ``(n, ...)``.

        Raises:
            ShardError: If the file turns out broken, or has been written since it was found.
        """
        piece = self._piece
        with reading(piece.path, set_number=self._set_number), refusing_lost_pages():
            piece.check()
            by_set = piece.by_set
            return self._read_by_set(rows) if by_set else self._read_rows(rows + piece.start)

    def _read_rows(self, rows: Rows) -> Array:
        """Have the reader read, which may be of the user's making."""
        reads = self._reader.read
        read = np.asarray(ask(self._piece.path, reads, rows) if self._is_foreign else reads(rows))
        shape, dtype = (len(rows), *self._reader.shape[1:]), np.dtype(self._reader.dtype)
        if read.shape != shape or not np.can_cast(read.dtype, dtype, "same_kind"):
            problem = f"Expected {dtype} {shape}, as its reader announced"
            remedy = "Mend its `read`."
            got = f"{read.dtype} {read.shape}"
            raise ShardError(f"{problem}, but got {got}. {remedy}", path=self._piece.path)
        return read.astype(dtype.newbyteorder("="), copy=False)

    def _read_by_set(self, rows: Rows) -> Array:
        index = np.array([self._piece.start // self._piece.num_rows], np.intp)
        one_set: Array = self._read_rows(index)[0]
        return np.take(one_set, rows, axis=0)


def _open(piece: Piece, reader: OpenFile | None) -> Reader:
    """Open the array that a piece is of, once for all pieces of one array."""
    is_part = bool(piece.shape) and (piece.by_set or piece.num_rows < piece.shape[0])
    if is_part and isinstance(reader, Hashable):
        return _open_shared(piece.path, piece.key, reader, state_of(piece.path))
    return open_array(piece.path, piece.key, reader=reader)


@lru_cache(maxsize=8)  # inputs and labels of the parts of a table, and some to spare
def _open_shared(path: Path, key: Key, reader: OpenFile | None, _state: FileState) -> Reader:
    return open_array(path, key, reader=reader)

"""What was found on disk: sets, where their rows and labels are, and what they look like."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from leyden.errors import DataError, ShardError
from leyden.shards.formats import count_rows, open_array
from leyden.shards.readers import reading
from leyden.types import Array, Key, Reader, Rows

__all__ = ["Catalog", "OpenPiece", "Piece", "Shard", "measure"]


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
    """

    path: Path
    num_rows: int
    key: Key = None
    start: int = 0
    by_set: bool = False
    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] | None = None

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.shape[2 if self.by_set else 1 :]


def measure(
    path: Path, key: Key = None, *, reader: Callable[[Path], Reader] | None = None
) -> Piece:
    """Find out from its header what one array of a file holds.

    Args:
        path: The file.
        key: Which array; ``None`` for the only one.
        reader: Opens the file instead of the format that its extension names.

    Returns:
        All rows of the array.

    Raises:
        ShardError: If the file is missing or broken, or the array is a single number.
        FormatError: If its extension is not known.
    """
    array = open_array(path, key, reader=reader)
    num_rows = count_rows(array, path)
    return Piece(path, num_rows, key, shape=tuple(array.shape), dtype=np.dtype(array.dtype))


@dataclass(frozen=True, slots=True)
class Shard:
    """One set: its number, its rows and its labels.

    Args:
        set_number: Its identity, the number in the file's name.
        data: Where the inputs are.
        labels: Where the labels are, row for row; ``None`` if there are none.
    """

    set_number: int
    data: Piece
    labels: Piece | None = None

    @property
    def num_rows(self) -> int:
        """Rows in this set."""
        return self.data.num_rows


class OpenPiece:
    """The rows of one set, open for reading.

    Args:
        piece: Where they are.
        set_number: Whose they are, for errors.
        reader: Opens the file instead of the format that its extension names.

    Raises:
        ShardError: If the file is missing or broken, or is not what it was when it was found.
    """

    def __init__(
        self, piece: Piece, set_number: int, reader: Callable[[Path], Reader] | None = None
    ) -> None:
        self._piece, self._set_number = piece, set_number
        with reading(piece.path, set_number=set_number):
            self._reader = open_array(piece.path, piece.key, reader=reader)
            shape, dtype = tuple(self._reader.shape), np.dtype(self._reader.dtype)
            if piece.shape and (shape, dtype) != (piece.shape, piece.dtype):
                problem = f"Expected {piece.dtype} {piece.shape}, as it was when it was found"
                remedy = "The file has changed: discover its folder again."
                raise ShardError(f"{problem}, but got {dtype} {shape}. {remedy}", path=piece.path)

    def read(self, rows: Rows) -> Array:
        """Copy rows of this set out.

        Args:
            rows: Indices within the set, ``(n,)``, in any order.

        Returns:
            The rows in that order, ``(n, ...)``.

        Raises:
            ShardError: If the file turns out broken.
        """
        piece = self._piece
        with reading(piece.path, set_number=self._set_number):
            return (
                self._read_by_set(rows) if piece.by_set else self._reader.read(rows + piece.start)
            )

    def _read_by_set(self, rows: Rows) -> Array:
        index = np.array([self._piece.start // self._piece.num_rows], np.intp)
        one_set: Array = self._reader.read(index)[0]
        return np.take(one_set, rows, axis=0)


@dataclass(frozen=True)
class Catalog:
    """The numbered sets of a folder, and what one row of them looks like.

    Args:
        path: The folder.
        shards: The sets, ascending by number.
        sample_shape: Shape of one row.
        dtype: Element type of the inputs.
        label_shape: Shape of one row's label; ``None`` without labels.
        label_dtype: Element type of the labels; ``None`` without labels.
        facts: How it was inferred, as (topic, finding) pairs.
        reader: Opens the files instead of the formats that their extensions name.
    """

    path: Path
    shards: tuple[Shard, ...]
    sample_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    label_shape: tuple[int, ...] | None = None
    label_dtype: np.dtype[Any] | None = None
    facts: tuple[tuple[str, str], ...] = ()
    reader: Callable[[Path], Reader] | None = None

    @cached_property
    def set_numbers(self) -> tuple[int, ...]:
        """The set numbers, ascending."""
        return tuple(shard.set_number for shard in self.shards)

    @cached_property
    def lengths(self) -> Mapping[int, int]:
        """Rows of each set, by set number."""
        return {shard.set_number: shard.num_rows for shard in self.shards}

    @property
    def num_samples(self) -> int:
        """Rows of all sets."""
        return sum(self.lengths.values())

    @property
    def has_labels(self) -> bool:
        """Whether every row has a label."""
        return self.label_shape is not None

    @cached_property
    def num_classes(self) -> int | None:
        """One more than the highest class, where labels are whole numbers; else ``None``.

        Reads all labels the first time. Inputs that serve as labels are no classes.
        """
        dtype, first = self.label_dtype, self.shards[0]
        if dtype is None or dtype.kind not in "biu" or first.labels == first.data:
            return None
        labels = (self.read_labels(number) for number in self.set_numbers)
        highest = max((int(array.max()) for array in labels if array.size), default=-1)
        return max(highest + 1, 2 if dtype.kind == "b" else 0)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of names, lengths, shapes and dtypes: equal for data of equal make."""
        facts = {
            "names": [shard.data.path.name for shard in self.shards],
            "lengths": list(self.lengths.items()),
            "sample": [list(self.sample_shape), str(self.dtype)],
            "label": [list(self.label_shape or ()), str(self.label_dtype)],
        }
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def shard(self, set_number: int) -> Shard:
        """Look up one set.

        Raises:
            DataError: If there is no such set.
        """
        try:
            return self._by_number[set_number]
        except KeyError:
            problem = f"Expected a set number of {self.path}, but got {set_number!r}."
            raise DataError(f"{problem} Known: {_ranges(self.set_numbers)}.") from None

    @cached_property
    def _by_number(self) -> Mapping[int, Shard]:
        return {shard.set_number: shard for shard in self.shards}

    def select(self, set_numbers: Iterable[int]) -> "Catalog":
        """Keep some of the sets.

        Args:
            set_numbers: Those to keep.

        Returns:
            A catalogue of these sets, ascending by number.

        Raises:
            DataError: If one of them does not exist, or there are none.
        """
        kept = tuple(self.shard(number) for number in sorted(set(set_numbers)))
        if not kept:
            raise DataError(f"Expected at least one set of {self.path} to be kept, but got none.")
        return replace(self, shards=kept)

    def open_data(self, set_number: int) -> OpenPiece:
        """Open the inputs of one set."""
        return OpenPiece(self.shard(set_number).data, set_number, self.reader)

    def open_labels(self, set_number: int) -> OpenPiece:
        """Open the labels of one set.

        Raises:
            DataError: If there are none.
        """
        shard = self.shard(set_number)
        if shard.labels is None:
            raise DataError(f"Expected labels for {self.path}, but none were found.")
        reader = self.reader if shard.labels.path == shard.data.path else None
        return OpenPiece(shard.labels, set_number, reader)

    def read_labels(self, set_number: int) -> Array:
        """Read all labels of one set, ``(rows, ...)``."""
        return self.open_labels(set_number).read(np.arange(self.lengths[set_number]))

    def describe(self) -> str:
        """Tell what was inferred and why, as a table of two columns."""
        lengths = sorted(set(self.lengths.values()))
        rows = str(lengths[0]) if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
        classes = "" if self.num_classes is None else f", {self.num_classes} classes"
        label = f"{self.label_dtype} {self.label_shape}{classes}" if self.has_labels else "none"
        lines = [
            ("path", str(self.path)),
            *self.facts,
            ("sets", f"{len(self.shards)}: {_ranges(self.set_numbers)}"),
            ("rows", f"{self.num_samples:,} ({rows} in a set)"),
            ("sample", f"{self.dtype} {self.sample_shape}"),
            ("label", label),
            ("fingerprint", self.fingerprint),
        ]
        width = max(len(topic) for topic, _ in lines)
        return "\n".join(f"{topic:<{width}}  {finding}" for topic, finding in lines)


def _ranges(numbers: Iterable[int]) -> str:
    """Write ascending numbers shortly: ``1-3, 7``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)

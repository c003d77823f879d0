"""What was found on disk: sets, where their rows and labels are, and what they look like."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from leyden.errors import DataError, ShardError
from leyden.shards.classes import Classes, list_names, refuse_other_names, refuse_unknown
from leyden.shards.formats import OpenFile
from leyden.shards.manifest import find_manifest
from leyden.shards.numbering import list_some
from leyden.shards.pieces import OpenPiece, Piece
from leyden.shards.readers import TEXT
from leyden.types import Array

__all__ = ["Catalog", "Shard"]


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


@dataclass(frozen=True)
class Catalog:
    """The numbered sets of a folder or file, and what one row of them looks like.

    Where inputs were named, ``fields`` has a catalogue for each, and what this one says of
    inputs, it says of the first.

    Args:
        path: The folder or file.
        shards: The sets, ascending by number.
        sample_shape: Shape of one row.
        dtype: Element type of the inputs.
        label_shape: Shape of one row's label; ``None`` without labels.
        label_dtype: Element type of the labels; ``None`` without labels.
        class_names: What the classes 0, 1, ... are called where labels are words; else ``None``.
        facts: How it was inferred, as (topic, finding) pairs.
        reader: Opens the files instead of the formats that their extensions name.
        fields: A catalogue of the same sets, without labels, for each input that was named, in
            the order given; empty if none was.
    """

    path: Path
    shards: tuple[Shard, ...]
    sample_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    label_shape: tuple[int, ...] | None = None
    label_dtype: np.dtype[Any] | None = None
    facts: tuple[tuple[str, str], ...] = ()
    reader: OpenFile | None = None
    fields: Mapping[str, "Catalog"] = field(default_factory=dict, hash=False)
    class_names: Classes | None = None

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
        if self.class_names is not None:
            return len(self.class_names)
        dtype, first = self.label_dtype, self.shards[0]
        if dtype is None or dtype.kind not in "biu" or first.labels == first.data:
            return None
        labels = (self.read_labels(number) for number in self.set_numbers)
        highest = max((int(array.max()) for array in labels if array.size), default=-1)
        return max(highest + 1, 2 if dtype.kind == "b" else 0)

    @cached_property
    def column_names(self) -> tuple[str, ...] | None:
        """What the columns of the inputs are called, in tables and in what was packed from one.

        ``None`` where they have no names, or several inputs were named.
        """
        if self.fields:
            return None
        key = self.shards[0].data.key
        if isinstance(key, tuple):
            return key
        packed = find_manifest(self.path)
        return packed.column_names if packed else None

    @cached_property
    def label_names(self) -> Classes | None:
        """What the classes 0, 1, ... are called: by labels that are words, or by who packed them.

        ``None`` where they have no names, and where labels are not those of the pack.
        """
        labels = self.shards[0].labels
        if self.class_names is not None or labels is None:
            return self.class_names
        is_own = labels.path.parent == self.path / "labels"
        packed = find_manifest(self.path) if is_own else None
        return packed.class_names if packed else None

    @cached_property
    def fingerprint(self) -> str:
        """Digest of names, lengths, shapes and dtypes: equal for data of equal make."""
        facts: dict[str, object] = {
            "names": [shard.data.path.name for shard in self.shards],
            "lengths": list(self.lengths.items()),
            "sample": [list(self.sample_shape), str(self.dtype)],
            "label": [list(self.label_shape or ()), str(self.label_dtype)],
        }
        if self.class_names is not None:
            facts["classes"] = self.class_names
        if self.fields:
            facts["fields"] = [
                [name, found.shards[0].data.key, found.fingerprint]
                for name, found in self.fields.items()
            ]
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
        numbers = [shard.set_number for shard in kept]
        fields = {name: found.select(numbers) for name, found in self.fields.items()}
        return replace(self, shards=kept, fields=fields)

    def with_classes(self, names: Sequence[str] | None = None) -> "Catalog":
        """Number the classes of labels that are words.

        Args:
            names: What the classes 0, 1, ... are called, ascending, as in other data; ``None`` for
                all words that there are, which are read.

        Returns:
            A catalogue with labels of int64, or this one where labels are no words.

        Raises:
            DataError: If a label is none of the names, or the numbers of a pack have other names.
        """
        found = [(s.set_number, s.labels) for s in self.shards if s.labels is not None]
        if not found or (names and tuple(names) == self.label_names):
            return self
        if found[0][1].dtype != TEXT:
            refuse_other_names(self.label_names, names, self.path)
            return self
        words = {word for number, piece in found for word in _words(piece, number)}
        classes = tuple(sorted(words)) if names is None else tuple(names)
        refuse_unknown(words, classes)
        shards = tuple(
            replace(s, labels=s.labels and replace(s.labels, classes=classes)) for s in self.shards
        )
        return replace(self, shards=shards, label_dtype=np.dtype(np.int64), class_names=classes)

    def without_labels(self) -> "Catalog":
        """Leave the labels out."""
        shards = tuple(replace(shard, labels=None) for shard in self.shards)
        return replace(self, shards=shards, label_shape=None, label_dtype=None, class_names=None)

    def check(self) -> None:
        """Make sure that every file is the one that was found; reads none of them.

        Raises:
            ShardError: If one is missing, or has been written since.
        """
        for set_number, piece in self._files:
            try:
                piece.check()
            except ShardError as error:
                error.set_number = set_number
                raise

    @cached_property
    def _files(self) -> tuple[tuple[int, Piece], ...]:
        """One set and one piece of each file."""
        shards = [s for found in (self, *self.fields.values()) for s in found.shards]
        pieces = [(s.set_number, piece) for s in shards for piece in (s.data, s.labels)]
        # By identity: pieces of one file share its path, and hashing one takes longer than stat.
        found = {id(piece.path): (number, piece) for number, piece in reversed(pieces) if piece}
        return tuple(reversed(found.values()))

    def open_data(self, set_number: int) -> OpenPiece:
        """Open the inputs of one set; the first of them, where there are several."""
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
        if self.label_names is not None:
            classes += f": {list_names(self.label_names)}"
        label = f"{self.label_dtype} {self.label_shape}{classes}" if self.has_labels else "none"
        lines = [
            ("path", str(self.path)),
            *self.facts,
            ("sets", f"{len(self.shards)}: {_ranges(self.set_numbers)}"),
            ("rows", f"{self.num_samples:,} ({rows} in a set)"),
            *self._samples,
            ("label", label),
            ("fingerprint", self.fingerprint),
        ]
        width = max(len(topic) for topic, _ in lines)
        return "\n".join(f"{topic:<{width}}  {finding}" for topic, finding in lines)

    @property
    def _samples(self) -> list[tuple[str, str]]:
        """What one row looks like: of the inputs, or of each that was named."""
        makes = {f"input {name}": found for name, found in self.fields.items()} or {"sample": self}
        return [(topic, f"{found.dtype} {found.sample_shape}") for topic, found in makes.items()]


def _words(piece: Piece, set_number: int) -> list[str]:
    """List the different words that a set has for labels."""
    words = OpenPiece(replace(piece, classes=None), set_number).read(np.arange(piece.num_rows))
    found: list[str] = np.unique(words).tolist()
    return found


def _ranges(numbers: Iterable[int]) -> str:
    """Write ascending numbers shortly: ``1-3, 7``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return list_some("-".join(map(str, run)) for run in runs)

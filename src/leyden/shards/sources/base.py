"""What can be packed: rows, and what they are made from."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from leyden.errors import ConfigError
from leyden.types import Array, Rows

__all__ = ["Block", "IndexedSource", "Shuffled", "Source", "digest_files", "digest_rows"]

_SAMPLED = 64 << 20  # bytes of a source that its digest covers
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows.

    Args:
        inputs: ``(rows, ...)``.
        labels: ``(rows, ...)``; ``None`` without labels.
    """

    inputs: Array
    labels: Array | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def part(self, start: int, stop: int) -> "Block":
        """Look at rows ``start`` to ``stop``."""
        labels = None if self.labels is None else self.labels[start:stop]
        return Block(self.inputs[start:stop], labels)

    def take(self, rows: Rows) -> "Block":
        """Copy rows out, in any order."""
        return Block(self.inputs[rows], None if self.labels is None else self.labels[rows])

    @staticmethod
    def join(blocks: Sequence["Block"]) -> "Block":
        """Put blocks after one another."""
        if len(blocks) == 1:
            return blocks[0]
        labels = [block.labels for block in blocks if block.labels is not None]
        inputs = np.concatenate([block.inputs for block in blocks])
        return Block(inputs, np.concatenate(labels) if labels else None)


class Source(ABC):
    """Rows that come in an order of their own."""

    @property
    def num_rows(self) -> int | None:
        """How many rows there are; ``None`` if that is known at the end only."""
        return None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the labels 0, 1, ... stand for; ``None`` if they have no names."""
        return None

    @property
    def column_names(self) -> tuple[str, ...] | None:
        """What the columns of the inputs are called; ``None`` if they have no names."""
        return None

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Say what this is in words and numbers, by which it is known again; cheap."""

    def check(self) -> None:
        """Find out whether all rows can be read, before any is written.

        Raises:
            DataError: If some cannot; it lists all.
        """
        return

    @abstractmethod
    def blocks(self, start: int, size: int) -> Iterator[Block]:
        """Read rows in their order.

        Args:
            start: The first row wanted.
            size: How many rows a block should have at most, where that can be chosen.

        Yields:
            All rows from ``start``, in blocks of any length.
        """


class IndexedSource(Source):
    """Rows that can be read in any order."""

    @property
    @abstractmethod
    @override
    def num_rows(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def read(self, rows: Rows) -> Block:
        """Read some rows.

        Args:
            rows: Their indices, ``(n,)``, in any order.

        Returns:
            The rows in that order.
        """

    @override
    def blocks(self, start: int, size: int) -> Iterator[Block]:
        for begin in range(start, self.num_rows, size):
            yield self.read(np.arange(begin, min(begin + size, self.num_rows)))


class Shuffled(Source):
    """The rows of another source in a random order.

    Args:
        source: What to shuffle; if it can be read in its own order only, it is read into memory.
        seed: Decides the order.

    Raises:
        ConfigError: If ``seed`` is not a seed.
    """

    def __init__(self, source: Source, seed: int) -> None:
        if type(seed) is not int or seed < 0:
            problem = "Expected `shuffle_seed` to be a whole number from 0, or None"
            raise ConfigError(f"{problem}, but got {seed!r}.")
        self._source, self._seed = source, seed

    @property
    @override
    def num_rows(self) -> int | None:
        return self._source.num_rows

    @property
    @override
    def class_names(self) -> tuple[str, ...] | None:
        return self._source.class_names

    @property
    @override
    def column_names(self) -> tuple[str, ...] | None:
        return self._source.column_names

    @override
    def describe(self) -> dict[str, Any]:
        return {**self._source.describe(), "shuffle_seed": self._seed}

    @override
    def check(self) -> None:
        self._source.check()

    @override
    def blocks(self, start: int, size: int) -> Iterator[Block]:
        if isinstance(self._source, IndexedSource):
            read, num_rows = self._source.read, self._source.num_rows
        else:
            whole = Block.join(list(self._source.blocks(0, size)))
            read, num_rows = whole.take, len(whole)
        order = np.random.default_rng(self._seed).permutation(num_rows)
        for begin in range(start, num_rows, size):
            yield read(order[begin : begin + size])


def digest_rows(array: Array) -> str:
    """Digest an array: all of it, or 64 MiB of rows that are evenly spread over a larger one.

    Args:
        array: ``(rows, ...)``.
    """
    if not array.size:
        return _shorten(hashlib.sha256())
    rows = _spread(len(array), array.nbytes)
    return _shorten(hashlib.sha256(np.ascontiguousarray(array[rows]).data.cast("B")))


def digest_files(paths: Sequence[Path], root: Path) -> str:
    """Digest the names, sizes and content of files.

    Of content beyond 64 MiB, files that are evenly spread count; of a single file, parts of it. A
    file that cannot be read counts as an empty one: what is wrong with it is told where it is used.

    Args:
        paths: The files.
        root: What the names are relative to.
    """
    digest = hashlib.sha256()
    sizes = [_size_of(path) for path in paths]
    for path, size in zip(paths, sizes, strict=True):
        digest.update(os.fsencode(path.relative_to(root).as_posix()))  # which may be no UTF-8
        digest.update(f"\0{size}\0".encode())
    for content in _spread_content(paths, sizes):
        digest.update(content)
    return _shorten(digest)


def _spread_content(paths: Sequence[Path], sizes: Sequence[int]) -> Iterator[bytes]:
    if len(paths) == 1:
        yield from _spread_chunks(paths[0], sizes[0])
        return
    for i in _spread(len(paths), sum(sizes)):
        with suppress(OSError):
            yield paths[i].read_bytes()


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _spread(count: int, num_bytes: int) -> Rows:
    """Choose items evenly, so that the chosen ones are 64 MiB at most, or one."""
    chosen = min(count, max(1, count * _SAMPLED // max(1, num_bytes)))
    return np.linspace(0, count - 1, chosen).astype(np.intp)


def _spread_chunks(path: Path, size: int) -> Iterator[bytes]:
    with suppress(OSError), path.open("rb") as file:
        for i in _spread(-(-size // _CHUNK), size) if size else ():
            file.seek(int(i) * _CHUNK)
            yield file.read(_CHUNK)


def _shorten(digest: Any) -> str:
    text: str = digest.hexdigest()
    return text[:16]

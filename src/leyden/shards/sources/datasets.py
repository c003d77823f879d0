"""Datasets to be packed: with an index, or as a stream."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Protocol

import numpy as np
from PIL import Image
from torch import Tensor
from typing_extensions import override

from leyden.errors import DataError
from leyden.shards.sources.arrays import as_array, check_numbers
from leyden.shards.sources.base import Block, IndexedSource, Source
from leyden.types import Array, Rows

__all__ = ["DatasetSource", "Indexed", "StreamSource"]

_SAMPLED_ROWS = 8  # rows of a dataset that its digest covers
_ARRAYS = (np.ndarray, Tensor, Image.Image)


class Indexed(Protocol):
    """What has a length and rows by index, such as a map-style ``torch`` dataset."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> object: ...


class DatasetSource(IndexedSource):
    """Rows of a dataset that has an index.

    Args:
        dataset: Its items are ``x`` or ``(x, y)``, numbers all of them; the same each time. A tuple
            of two is ``(x, y)``, and so is a list of two in which are arrays; others are ``x``.

    Raises:
        DataError: If it is empty.
    """

    def __init__(self, dataset: Indexed) -> None:
        self._dataset = dataset
        if not len(dataset):
            raise DataError("Expected at least one row in the dataset, but got none.")
        self._stack = _Stack(self._row(0))

    @property
    @override
    def num_rows(self) -> int:
        return len(self._dataset)

    @override
    def describe(self) -> dict[str, Any]:
        count = min(self.num_rows, _SAMPLED_ROWS)
        chosen = np.linspace(0, self.num_rows - 1, count).astype(int)
        rows = [self._row(int(index)) for index in chosen]
        name = _type_name(self._dataset)
        return {"kind": "dataset", "type": name, "rows": self.num_rows, "digest": _digest(rows)}

    @override
    def read(self, rows: Rows) -> Block:
        return self._stack([(int(index), self._row(int(index))) for index in rows])

    def _row(self, index: int) -> tuple[Array, ...]:
        try:
            return _as_row(self._dataset[index], index)
        except Exception as error:
            error.add_note(f"while reading row {index} of {_type_name(self._dataset)}")
            raise


class StreamSource(Source):
    """Rows of a dataset that can be read from its beginning only.

    Args:
        dataset: Its items are ``x`` or ``(x, y)``, numbers all of them; the same each time. A tuple
            of two is ``(x, y)``, and so is a list of two in which are arrays; others are ``x``.

    Raises:
        DataError: If it is empty.
    """

    def __init__(self, dataset: Iterable[object]) -> None:
        self._type = _type_name(dataset)
        iterator = iter(dataset)
        first = next(iterator, None)
        if first is None:
            raise DataError("Expected at least one row in the dataset, but got none.")
        # The first row is looked at, and not lost: some streams cannot be begun twice.
        self._items = chain([first], iterator)
        self._first = _as_row(first, 0)

    @override
    def describe(self) -> dict[str, Any]:
        return {"kind": "stream", "type": self._type, "digest": _digest([self._first])}

    @override
    def blocks(self, start: int, size: int) -> Iterator[Block]:
        stack = _Stack(self._first)
        items = islice(enumerate(self._items), start, None)
        while rows := [(index, _as_row(item, index)) for index, item in islice(items, size)]:
            yield stack(rows)


class _Stack:
    """Make blocks of rows that are all like the first."""

    def __init__(self, first: tuple[Array, ...]) -> None:
        self._make = _make(first)

    def __call__(self, rows: Sequence[tuple[int, tuple[Array, ...]]]) -> Block:
        for index, row in rows:
            if _make(row) != self._make:
                problem = "Expected rows of one shape and dtype, but they differ."
                raise DataError(f"{problem}\nrow 0: {self._make}\nrow {index}: {_make(row)}")
        return Block(*(np.stack(parts) for parts in zip(*(row for _, row in rows), strict=True)))


def _as_row(item: object, index: int) -> tuple[Array, ...]:
    """Take an item apart: ``(x,)`` or ``(x, y)``."""
    parts: tuple[object, ...] = (item,)
    if isinstance(item, tuple) or (isinstance(item, list) and _holds_arrays(item)):
        parts = tuple(item)
    found = f"a {type(item).__name__} of {len(parts)}"
    if nested := [part for part in parts if _holds_arrays(part)]:
        found = f"a {type(nested[0]).__name__}{'' if nested[0] is item else ' in it'}"
    if len(parts) not in (1, 2) or nested:
        problem = f"Expected x or (x, y) in row {index}, but got {found}."
        raise DataError(f"{problem} Wrap the dataset in one that returns these.")
    if any(isinstance(part, Image.Image) for part in parts):
        problem = f"Expected numbers in row {index}, but got an image."
        raise DataError(f"{problem} Give the dataset a transform that makes an array of it.")
    return tuple(check_numbers(as_array(part), f"row {index}") for part in parts)


def _holds_arrays(value: object) -> bool:
    """Say whether this is several arrays, rather than one: a list of numbers is one."""
    if isinstance(value, (tuple, list)):
        return any(isinstance(part, _ARRAYS) or _holds_arrays(part) for part in value)
    return isinstance(value, Mapping)


def _make(row: tuple[Array, ...]) -> str:
    return ", ".join(
        f"{name} {part.dtype} {part.shape}" for name, part in zip("xy", row, strict=False)
    )


def _digest(rows: Iterable[tuple[Array, ...]]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(_make(row).encode())
        for part in row:
            digest.update(part.tobytes())
    return digest.hexdigest()[:16]


def _type_name(dataset: object) -> str:
    return f"{type(dataset).__module__}.{type(dataset).__qualname__}"

"""Rows of many shards, read into one array."""

import math
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from leyden.shards import Catalog, OpenPiece
from leyden.types import Array, Rows

__all__ = ["ShardStore"]

SetNumbers: TypeAlias = NDArray[np.int64]
"""The set of each row, ``(rows,)``."""

_MAX_OPEN = 32  # files kept open: the sets of a few batches, far below any limit of the system


class ShardStore:
    """Reads rows of any sets at once.

    Args:
        catalog: The sets.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._data = _Opened(catalog.open_data)
        self._labels = _Opened(catalog.open_labels)

    @property
    def row_bytes(self) -> int:
        """Bytes of the inputs of one row."""
        return max(1, math.prod(self._catalog.sample_shape) * self._catalog.dtype.itemsize)

    @property
    def has_labels(self) -> bool:
        """Whether every row has a label."""
        return self._catalog.has_labels

    def check(self) -> None:
        """Make sure that every file is still what it was when it was found.

        Raises:
            ShardError: If one is gone, or has been written since.
        """
        self._catalog.check()

    def inputs(self, set_numbers: SetNumbers, rows: Rows) -> Array:
        """Read inputs.

        Args:
            set_numbers: The set of each row, ``(n,)``.
            rows: Its index within the set, ``(n,)``.

        Returns:
            The rows in that order, ``(n, ...)``.

        Raises:
            ShardError: If a shard is missing or broken.
        """
        return _gather(self._data, set_numbers, rows)

    def labels(self, set_numbers: SetNumbers, rows: Rows) -> Array:
        """Read labels; see ``inputs``."""
        return _gather(self._labels, set_numbers, rows)


class _Opened:
    """The last few sets that were read from, open."""

    def __init__(self, open_set: Callable[[int], OpenPiece]) -> None:
        self._open_set = open_set
        self._pieces: OrderedDict[int, OpenPiece] = OrderedDict()

    def __getitem__(self, set_number: int) -> OpenPiece:
        if set_number in self._pieces:
            self._pieces.move_to_end(set_number)
        else:
            self._pieces[set_number] = self._open_set(set_number)
            if len(self._pieces) > _MAX_OPEN:
                self._pieces.popitem(last=False)
        return self._pieces[set_number]


def _gather(opened: _Opened, set_numbers: SetNumbers, rows: Rows) -> Array:
    """Read set by set, each at once, and put the rows where they belong."""
    starts = np.flatnonzero(np.diff(set_numbers, prepend=-1))
    if len(starts) == 1:
        return opened[int(set_numbers[0])].read(rows)
    order = np.argsort(set_numbers, kind="stable")
    ordered = set_numbers[order]
    bounds = [*np.flatnonzero(np.diff(ordered, prepend=-1)).tolist(), len(rows)]
    result: Array | None = None
    for start, stop in pairwise(bounds):
        places = order[start:stop]
        part = opened[int(ordered[start])].read(rows[places])
        if result is None:
            result = np.empty((len(rows), *part.shape[1:]), part.dtype)
        is_run = places[-1] - places[0] == stop - start - 1  # the order is stable
        result[slice(places[0], places[-1] + 1) if is_run else places] = part
    assert result is not None  # noqa: S101 - there is a row at least
    return result

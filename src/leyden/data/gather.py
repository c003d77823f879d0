"""Rows of many shards, read into one array."""

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from leyden.data.origin import BatchOrigin
from leyden.shards import Catalog, OpenPiece
from leyden.types import Array

__all__ = ["ShardStore"]

_MAX_OPEN = 32  # files kept open: the sets of a few batches, far below any limit of the system


class ShardStore:
    """Reads the rows of batches.

    Args:
        catalog: The sets.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._data = _Opened(catalog.open_data)
        self._labels = _Opened(catalog.open_labels)

    @property
    def has_labels(self) -> bool:
        """Whether every row has a label."""
        return self._catalog.has_labels

    def inputs(self, origin: BatchOrigin) -> Array:
        """Read the inputs of a batch, ``(batch, ...)``."""
        return _gather(self._data, origin)

    def labels(self, origin: BatchOrigin) -> Array:
        """Read the labels of a batch, ``(batch, ...)``."""
        return _gather(self._labels, origin)


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


def _gather(opened: _Opened, origin: BatchOrigin) -> Array:
    parts = [opened[piece.set_number].read(piece.rows) for piece in origin.slices]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)

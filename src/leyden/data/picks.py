"""Rows of several sets, picked for a batch or a block of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leyden.types import Rows

__all__ = ["Picks", "SetNumbers"]

SetNumbers = NDArray[np.int64]
"""The set of each row, ``(rows,)``."""


@dataclass(frozen=True, eq=False)
class Picks:
    """Which rows of which sets, in order.

    Args:
        sets: Set numbers.
        places: Which of these each row is from, ``(rows,)``.
        rows: Its index within that set, ``(rows,)``.
    """

    sets: tuple[int, ...]
    places: NDArray[np.intp]
    rows: Rows

    @classmethod
    def of(cls, set_numbers: ArrayLike, rows: ArrayLike) -> "Picks":
        """Pick rows.

        Args:
            set_numbers: The set of each, ``(rows,)``.
            rows: Its index within that set, ``(rows,)``.

        Example:
            >>> picks = Picks.of([7, 7, 2], [0, 1, 5])
            >>> picks.sets, picks.places.tolist()
            ((2, 7), [1, 1, 0])
        """
        sets, places = np.unique(np.asarray(set_numbers, np.int64), return_inverse=True)
        return cls(tuple(sets.tolist()), places.reshape(-1), np.asarray(rows, np.intp))

    def part(self, begin: int, end: int) -> "Picks":
        """Take the rows from one to another."""
        return Picks(self.sets, self.places[begin:end], self.rows[begin:end])

    def split(self, sizes: Iterable[int]) -> "Iterator[Picks]":
        """Take the first rows, then the next, and so on.

        Args:
            sizes: How many each time.
        """
        begin = 0
        for size in sizes:
            yield self.part(begin, begin + size)
            begin += size

    def compact(self) -> "Picks":
        """Leave out the sets without a row."""
        places, again = np.unique(self.places, return_inverse=True)
        sets = tuple(self.sets[place] for place in places.tolist())
        return Picks(sets, again.reshape(-1), self.rows)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.rows)

    @cached_property
    def set_numbers(self) -> SetNumbers:
        """The set of each row, ``(rows,)``."""
        return np.array(self.sets, np.int64)[self.places]

    @cached_property
    def counts(self) -> list[int]:
        """How many rows are from each of the sets."""
        counted: list[int] = np.bincount(self.places, minlength=len(self.sets)).tolist()
        return counted

"""Where the rows of a batch come from, and what the batch is called."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from string import ascii_lowercase
from typing import Protocol

import numpy as np
from typing_extensions import override

from leyden.lifecycle import Window
from leyden.types import Rows

__all__ = ["BatchOrigin", "Slice", "part_name", "rows_of"]


@dataclass(frozen=True, eq=False)
class Slice:
    """The rows that a batch takes from one set.

    Args:
        set_number: The set.
        rows: Indices within the set in the order of the batch, ``(rows,)``.
        part: Letter of the part that this is of the set; ``""`` for the whole set.
    """

    set_number: int
    rows: Rows
    part: str = ""

    @property
    def name(self) -> str:
        """The set's number, and the part's letter if it is one: ``12`` or ``12-a``."""
        return f"{self.set_number}-{self.part}" if self.part else str(self.set_number)

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Slice):
            return NotImplemented
        same = (self.set_number, self.part) == (other.set_number, other.part)
        return same and np.array_equal(self.rows, other.rows)

    @override
    def __hash__(self) -> int:
        return hash((self.set_number, self.part, self.rows.tobytes()))


@dataclass(frozen=True, eq=False)
class BatchOrigin:
    """Where a batch comes from: it is the concatenation of its slices.

    Args:
        epoch: Its epoch, from zero.
        batch_index: Its place in the epoch, from zero.
        slices: What it takes from each set, in the order of the batch.
        is_repeated: Whether its only row belongs to another rank: there were fewer rows than ranks.
        window: Which stretch of time of these rows it is; ``None`` where it is all.

    Example:
        >>> rows = np.arange(2)
        >>> BatchOrigin(0, 3, (Slice(12, rows, "b"), Slice(13, rows))).name
        '12-b+13'
    """

    epoch: int
    batch_index: int
    slices: tuple[Slice, ...]
    is_repeated: bool = False
    window: Window | None = None

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, BatchOrigin) and self._facts == other._facts

    @override
    def __hash__(self) -> int:
        return hash(self._facts)

    @property
    def _facts(self) -> tuple[object, ...]:
        return self.epoch, self.batch_index, self.slices, self.is_repeated, self.window

    @cached_property
    def name(self) -> str:
        """What the batch is called: ``12``, ``12-a``, ``12+13`` or ``12-b+13-a``."""
        return "+".join(piece.name for piece in self.slices)

    @property
    def set_numbers(self) -> tuple[int, ...]:
        """The sets it takes rows from."""
        return tuple(piece.set_number for piece in self.slices)

    @property
    def num_rows(self) -> int:
        """Its rows."""
        return sum(len(piece.rows) for piece in self.slices)


def rows_of(slices: Iterable[Slice]) -> tuple[Rows, Rows]:
    """Tell which set each row of a batch is from, and its place there.

    Args:
        slices: Those of the batch, or whatever has ``set_number`` and ``rows``.

    Returns:
        Set numbers and indices within the sets, both ``(rows,)``.

    Example:
        >>> pieces = Slice(12, np.array([4, 5])), Slice(13, np.array([0]))
        >>> [found.tolist() for found in rows_of(pieces)]
        [[12, 12, 13], [4, 5, 0]]
    """
    none: Rows = np.zeros(0, dtype=np.int64)
    pieces = list(slices)
    sets = [np.full(len(piece.rows), piece.set_number, dtype=np.int64) for piece in pieces]
    rows = [np.asarray(piece.rows, dtype=np.int64) for piece in pieces]
    return np.concatenate([none, *sets]), np.concatenate([none, *rows])


class Runs(Protocol):
    """Knows batches by their place in the epoch."""

    def set_numbers(self, batch_index: int) -> tuple[int, ...]:
        """The sets of a batch, slice by slice."""
        ...

    def slices(self, batch_index: int) -> tuple[Slice, ...]:
        """The slices of a batch."""
        ...

    def is_repeated(self, batch_index: int) -> bool:
        """Whether the only row of a batch belongs to another rank."""
        ...

    def window(self, batch_index: int) -> Window | None:
        """Which stretch of time of its rows a batch is."""
        ...


class PlannedOrigin(BatchOrigin):
    """A batch of a plan, of which everything is worked out when somebody asks for it.

    Args:
        epoch: Its epoch, from zero.
        batch_index: Its place in the epoch, from zero.
        runs: Knows the rest.
    """

    _runs: Runs

    def __init__(self, epoch: int, batch_index: int, runs: Runs) -> None:
        facts = self.__dict__  # since attributes are not to be set
        facts["epoch"], facts["batch_index"], facts["_runs"] = epoch, batch_index, runs

    @cached_property
    @override
    def slices(self) -> tuple[Slice, ...]:
        """What it takes from each set, in the order of the batch."""
        return self._runs.slices(self.batch_index)

    @property
    @override
    def set_numbers(self) -> tuple[int, ...]:
        return self._runs.set_numbers(self.batch_index)

    @property
    @override
    def is_repeated(self) -> bool:
        return self._runs.is_repeated(self.batch_index)

    @property
    @override
    def window(self) -> Window | None:
        return self._runs.window(self.batch_index)

    @override
    def __reduce__(self) -> tuple[type[BatchOrigin], tuple[object, ...]]:
        return BatchOrigin, self._facts  # without the plan


def part_name(index: int | None) -> str:
    """Name a part of a set by its place among the parts.

    Args:
        index: Its place, from zero; ``None`` for a whole set.

    Returns:
        ``a`` to ``z``, then ``aa`` and so on; ``""`` for a whole set.

    Example:
        >>> [part_name(index) for index in (None, 0, 25, 26, 27, 702)]
        ['', 'a', 'z', 'aa', 'ab', 'aaa']
    """
    letters, left = "", -1 if index is None else index
    while left >= 0:
        left, letter = divmod(left, len(ascii_lowercase))
        letters = ascii_lowercase[letter] + letters
        left -= 1
    return letters

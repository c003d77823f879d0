"""Where the rows of a batch come from, and what the batch is called."""

from dataclasses import dataclass
from functools import cached_property
from string import ascii_lowercase

import numpy as np
from typing_extensions import override

from leyden.lifecycle import Window
from leyden.types import Rows

__all__ = ["BatchOrigin", "Slice", "part_name"]


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


@dataclass(frozen=True)
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

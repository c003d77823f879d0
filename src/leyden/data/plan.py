"""The batches of an epoch as arithmetic.

The rows of batch ``b`` of epoch ``e`` are a pure function of the sets' lengths, the batch size, the
shuffle, the seed, ``e`` and ``b``. Nothing is kept between calls but what is worth not computing
twice, so any batch of any epoch can be asked for in any order.

An epoch *visits* its sets one after another. Visits form *groups* of ``K`` consecutive ones, and
rows are permuted within their group: each set by itself (``"rows"``, ``K = 1``), several together
(``"window:K"``), all (``"full"``), or not at all (``"none"``, ``"sets"``). The result is one
canonical order of rows, which is cut into batches from the front.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leyden.data.origin import BatchOrigin, Slice, part_name
from leyden.errors import ConfigError, DataError, suggest
from leyden.types import Rows

__all__ = ["EpochPlan", "Shuffle", "check_whole", "parse_shuffle"]

_Visits: TypeAlias = NDArray[np.intp]
_SETS_STREAM = 0  # random streams of an epoch: this one orders the sets, 1 + g the rows of group g


@dataclass(frozen=True, slots=True)
class Shuffle:
    """How an epoch is put in order.

    Args:
        sets: Whether the sets are permuted.
        group: How many consecutive sets have their rows permuted together; 0 for none.
    """

    sets: bool
    group: int


_ALL = 2**62
_MODES = {
    "none": Shuffle(sets=False, group=0),
    "sets": Shuffle(sets=True, group=0),
    "rows": Shuffle(sets=True, group=1),
    "full": Shuffle(sets=True, group=_ALL),
}


def parse_shuffle(text: str) -> Shuffle:
    """Read the name of a shuffle.

    Args:
        text: ``"none"``, ``"sets"``, ``"rows"``, ``"window:K"`` with a whole ``K``, or ``"full"``.

    Raises:
        ConfigError: If it is none of these.

    Example:
        >>> parse_shuffle("window:8")
        Shuffle(sets=True, group=8)
    """
    mode, _, size = str(text).partition(":")
    if mode == "window" and size.isdecimal() and int(size) > 0:
        return Shuffle(sets=True, group=int(size))
    if text not in _MODES:
        problem = f"Expected `shuffle` to be the name of a shuffle, but got {text!r}."
        raise ConfigError(f"{problem} {suggest(str(text), [*_MODES, 'window:K'])}")
    return _MODES[text]


@dataclass(frozen=True, slots=True)
class _Group:
    """Consecutive visits whose rows are permuted together.

    Args:
        begin: Position of the first row.
        visits: The visit that each position belongs to, ``(rows,)``.
        rows: The row within that set, ``(rows,)``.
        parts: How many earlier batches hold rows of that visit, ``(rows,)``.
    """

    begin: int
    visits: _Visits
    rows: Rows
    parts: NDArray[np.intp]

    @property
    def end(self) -> int:
        """Position after the last row."""
        return self.begin + len(self.rows)


class EpochPlan:
    """The batches of one epoch, in order.

    Args:
        lengths: Rows of each set, by set number, in the order of ``shuffle="none"``.
        batch_size: Rows of a batch; the last one may be shorter.
        shuffle: ``"none"``, ``"sets"``, ``"rows"``, ``"window:K"`` or ``"full"``.
        seed: Decides every shuffle.
        epoch: Which epoch, from zero.
        drop_last: Whether a shorter last batch is left out.

    Raises:
        ConfigError: If an argument is out of range, or no batch is left.

    Example:
        >>> plan = EpochPlan({1: 3, 2: 3}, batch_size=2, shuffle="none")
        >>> [batch.name for batch in plan]
        ['1-a', '1-b+2-a', '2-b']
        >>> plan[1].slices[0].rows
        array([2])
    """

    def __init__(
        self,
        lengths: Mapping[int, int],
        *,
        batch_size: int,
        shuffle: str = "rows",
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
    ) -> None:
        check_whole("batch_size", batch_size, 1)
        check_whole("seed", seed, 0)
        check_whole("epoch", epoch, 0)
        self._mode = parse_shuffle(shuffle)
        self.shuffle, self.batch_size, self.seed, self.epoch = shuffle, batch_size, seed, epoch
        total = sum(lengths.values())
        self.num_rows = total - (total % batch_size if drop_last else 0)
        if self.num_rows == 0:
            problem = f"Expected at least {batch_size if drop_last else 1} rows for a batch"
            raise ConfigError(f"{problem}, but got {total}. Lower `batch_size`.")
        self._set_numbers = np.fromiter(lengths, np.int64, len(lengths))
        self._lengths = np.fromiter(lengths.values(), np.intp, len(lengths))
        self._groups: dict[int, _Group] = {}

    def __len__(self) -> int:
        """Count the batches."""
        return 1 + (self.num_rows - 1) // self.batch_size

    def __iter__(self) -> Iterator[BatchOrigin]:
        """Go through the batches in order."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, batch_index: int) -> BatchOrigin:
        """Work out one batch.

        Args:
            batch_index: Which one, from zero.

        Raises:
            IndexError: If there is no such batch.
        """
        if not 0 <= batch_index < len(self):
            problem = f"Expected a batch index from 0 to {len(self) - 1}, but got {batch_index!r}"
            raise IndexError(f"{problem} in epoch {self.epoch}.")
        start = batch_index * self.batch_size
        visits, rows = self.rows(start, min(start + self.batch_size, self.num_rows))
        slices = []
        for visit in _in_order_of_appearance(visits):
            set_number, length = int(self._visited_sets[visit]), int(self._visited_lengths[visit])
            places = np.flatnonzero(visits == visit)
            is_whole = len(places) == length
            part = None if is_whole else self._part_at(start + int(places[0]), visit)
            slices.append(Slice(set_number, rows[places], part_name(part)))
        return BatchOrigin(self.epoch, batch_index, tuple(slices))

    def rows(self, start: int, stop: int) -> tuple[_Visits, Rows]:
        """Read a stretch of the canonical order.

        Args:
            start: First position, from zero.
            stop: Position after the last.

        Returns:
            For each position, the visit it belongs to (its index in ``set_order``) and the row
            within that set, both ``(stop - start,)``.

        Raises:
            DataError: If the stretch is not within the epoch.
        """
        if not 0 <= start <= stop <= self.num_rows:
            problem = f"Expected positions within the {self.num_rows} rows of the epoch"
            raise DataError(f"{problem}, but got {start} to {stop}.")
        if self._mode.group == 0:
            return self._rows_unshuffled(start, stop)
        none = np.empty(0, np.intp)
        parts = [(none, none)]
        position = start
        while position < stop:
            group = self._group_at(position)
            stretch = slice(position - group.begin, stop - group.begin)
            parts.append((group.visits[stretch], group.rows[stretch]))
            position = group.end
        visits, rows = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return visits, rows

    def sets_from(self, position: int) -> tuple[int, ...]:
        """Tell which sets have rows at a position of the canonical order, or after it.

        Args:
            position: From zero; the number of rows handed out so far.

        Returns:
            Their numbers, in the order in which they are visited.
        """
        if position >= self.num_rows:
            return ()
        size, num_visits = max(self._group_size, 1), len(self._lengths)
        ends = self._visit_at([position, self.num_rows - 1]) // size * size + size
        end, last = (int(stop) for stop in np.minimum(ends, num_visits))
        visits, _ = self.rows(position, min(int(self._ends[end - 1]), self.num_rows))
        now = np.flatnonzero(np.bincount(visits))
        numbers: list[int] = self._visited_sets[[*now, *range(end, last)]].tolist()
        return tuple(numbers)

    @property
    def set_order(self) -> tuple[int, ...]:
        """The set numbers in the order in which they are visited."""
        return tuple(self._visited_sets.tolist())

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        order = np.arange(len(self._lengths))
        return self._random(_SETS_STREAM).permutation(order) if self._mode.sets else order

    @cached_property
    def _visited_sets(self) -> NDArray[np.int64]:
        return self._set_numbers[self._order]

    @cached_property
    def _visited_lengths(self) -> NDArray[np.intp]:
        return self._lengths[self._order]

    @cached_property
    def _ends(self) -> NDArray[np.intp]:
        """Position after the last row of each visit."""
        return np.cumsum(self._visited_lengths)

    @property
    def _group_size(self) -> int:
        return min(self._mode.group, len(self._lengths))

    def _random(self, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, self.epoch, stream))

    def _rows_unshuffled(self, start: int, stop: int) -> tuple[_Visits, Rows]:
        positions = np.arange(start, stop)
        visits = self._visit_at(positions)
        return visits, positions - (self._ends - self._visited_lengths)[visits]

    def _visit_at(self, positions: ArrayLike) -> _Visits:
        return np.asarray(np.searchsorted(self._ends, positions, side="right"))

    def _group_at(self, position: int) -> _Group:
        """Permute the group that holds a position."""
        index = int(self._visit_at(position)) // self._group_size
        if index not in self._groups:
            if len(self._groups) > 1:  # a batch may straddle two groups
                del self._groups[next(iter(self._groups))]
            self._groups[index] = self._make_group(index)
        return self._groups[index]

    def _make_group(self, index: int) -> _Group:
        first = index * self._group_size
        last = min(first + self._group_size, len(self._lengths)) - 1
        begin, end = int(self._ends[first] - self._visited_lengths[first]), int(self._ends[last])
        visits, rows = self._rows_unshuffled(begin, end)
        order = self._random(1 + index).permutation(len(rows))
        visits, rows = visits[order], rows[order]
        parts = _count_parts(visits, np.arange(begin, end) // self.batch_size)
        return _Group(begin, visits, rows, parts)

    def _part_at(self, position: int, visit: int) -> int:
        """Count the batches before that of a position that hold rows of the same visit."""
        if self._mode.group > 1:
            group = self._group_at(position)
            return int(group.parts[position - group.begin])
        first = int(self._ends[visit] - self._visited_lengths[visit])
        return position // self.batch_size - first // self.batch_size


def _count_parts(visits: _Visits, batches: NDArray[np.intp]) -> NDArray[np.intp]:
    """Number the batches that share a visit, for each of the positions."""
    order = np.argsort(visits, kind="stable")  # visit by visit, the batches of each ascending
    new_visit = np.diff(visits[order], prepend=-1) != 0
    new_part = new_visit | (np.diff(batches[order], prepend=-1) != 0)
    count = np.cumsum(new_part)
    before = np.maximum.accumulate(np.where(new_visit, count, 0))
    parts = np.empty_like(order)
    parts[order] = count - before
    return parts


def _in_order_of_appearance(values: _Visits) -> Sequence[int]:
    unique, first = np.unique(values, return_index=True)
    ordered: list[int] = unique[np.argsort(first)].tolist()
    return ordered


def check_whole(name: str, value: object, least: int) -> None:
    """Make sure that an argument is a whole number.

    Args:
        name: Its name, for the error.
        value: What was given.
        least: The lowest allowed.

    Raises:
        ConfigError: If it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        problem = f"Expected `{name}` to be a whole number from {least}, but got {value!r}."
        raise ConfigError(problem)

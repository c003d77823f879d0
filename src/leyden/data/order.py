"""The canonical order of the rows of an epoch, whatever the batches and the ranks.

An epoch *visits* its sets one after another. Visits form *groups* of ``K`` consecutive ones, and
rows are permuted within their group: each set by itself (``"rows"``, ``K = 1``), several together
(``"window:K"``), all (``"full"``), or not at all (``"none"``, ``"sets"``). ``"blocks:B"`` permutes
blocks of ``B`` consecutive rows within each set and leaves the rows of a block together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from leyden.errors import ConfigError, DataError, check_whole, suggest
from leyden.types import Rows

__all__ = [
    "EpochOrder",
    "Shuffle",
    "Visits",
    "name_shuffle",
    "parse_shuffle",
]

Visits: TypeAlias = NDArray[np.intp]
"""Indices of visits, ``(rows,)``."""

_SETS_STREAM = 0  # random streams of an epoch: this one orders the sets, 1 + g the rows of group g
_ALL = 2**62
_ROWS_AT_ONCE = 16384  # permuted, where groups are smaller


@dataclass(frozen=True, slots=True)
class Shuffle:
    """How an epoch is put in order.

    Args:
        sets: Whether the sets are permuted.
        group: How many consecutive sets have their rows permuted together; 0 for none.
        block: How many consecutive rows of a set stay together.
    """

    sets: bool
    group: int
    block: int = 1


_MODES = {
    "none": Shuffle(sets=False, group=0),
    "sets": Shuffle(sets=True, group=0),
    "rows": Shuffle(sets=True, group=1),
    "full": Shuffle(sets=True, group=_ALL),
}


def name_shuffle(text: str, batch_size: int) -> str:
    """Check the name of a shuffle, and give blocks the size of the batches if they have none.

    Args:
        text: See ``parse_shuffle``; or ``"blocks"``.
        batch_size: Rows of a batch.

    Raises:
        ConfigError: If there is no such shuffle.

    Example:
        >>> name_shuffle("blocks", 32)
        'blocks:32'
    """
    name = f"blocks:{batch_size}" if text == "blocks" else text
    parse_shuffle(name)
    return name


def parse_shuffle(text: str) -> Shuffle:
    """Read the name of a shuffle.

    Args:
        text: ``"none"``, ``"sets"``, ``"blocks:B"``, ``"rows"``, ``"window:K"`` or ``"full"``, with
            whole numbers for ``B`` and ``K``.

    Raises:
        ConfigError: If it is none of these.

    Example:
        >>> parse_shuffle("window:8")
        Shuffle(sets=True, group=8, block=1)
    """
    mode, _, size = str(text).partition(":")
    number = int(size) if size.isdecimal() else 0
    if mode == "window" and number:
        return Shuffle(sets=True, group=number)
    if mode == "blocks" and number:
        return Shuffle(sets=True, group=1, block=number)
    if str(text) not in _MODES:
        problem = f"Expected `shuffle` to be the name of a shuffle, but got {text!r}."
        raise ConfigError(f"{problem} {suggest(str(text), [*_MODES, 'blocks', 'window:K'])}")
    return _MODES[str(text)]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Consecutive positions: one group, or some whole ones.

    Args:
        begin: The first position.
        visits: The visit that each position belongs to, ``(rows,)``.
        rows: The row within that set, ``(rows,)``.
    """

    begin: int
    visits: Visits
    rows: Rows

    @property
    def end(self) -> int:
        """Position after the last."""
        return self.begin + len(self.rows)


class EpochOrder:
    """The rows of one epoch in their canonical order.

    Args:
        lengths: Rows of each set, by set number, in the order of ``shuffle="none"``.
        shuffle: See ``parse_shuffle``.
        seed: Decides every shuffle.
        epoch: Which epoch, from zero.
        sets: The sets to visit, in this very order, some perhaps several times or not at all;
            ``None`` to visit each once, in the order of the shuffle.

    Raises:
        ConfigError: If an argument is out of range.
        DataError: If a set to visit does not exist.

    Example:
        >>> visits, rows = EpochOrder({1: 2, 2: 3}, shuffle="none").rows(1, 4)
        >>> visits.tolist(), rows.tolist()
        ([0, 1, 1], [1, 0, 1])
    """

    def __init__(
        self,
        lengths: Mapping[int, int],
        *,
        shuffle: str = "rows",
        seed: int = 0,
        epoch: int = 0,
        sets: Sequence[int] | None = None,
    ) -> None:
        self.seed, self.epoch = check_whole("seed", seed, 0), check_whole("epoch", epoch, 0)
        self._mode, self.shuffle = parse_shuffle(shuffle), shuffle
        self._set_numbers = np.fromiter(lengths, np.int64, len(lengths))
        self._lengths = np.fromiter(lengths.values(), np.intp, len(lengths))
        self._scheduled = None if sets is None else _look_up(sets, lengths)
        self._stretches: dict[int, _Stretch] = {}  # by the first visit

    @override
    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_stretches": {}}  # which may be as long as the data

    @property
    def num_rows(self) -> int:
        """Rows of the epoch."""
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def is_interleaved(self) -> bool:
        """Whether rows of several sets are mixed."""
        return self._mode.group > 1

    @cached_property
    def schedule(self) -> str | None:
        """Digest of the sets to visit, where these were told; else ``None``."""
        return None if self._scheduled is None else f"{crc32(self.visited_sets.tobytes()):08x}"

    @cached_property
    def visited_sets(self) -> NDArray[np.int64]:
        """Set number of each visit, ``(visits,)``."""
        return self._set_numbers[self._order]

    @cached_property
    def visited_lengths(self) -> NDArray[np.intp]:
        """Rows of each visit, ``(visits,)``."""
        return self._lengths[self._order]

    def rows(self, start: int, stop: int) -> tuple[Visits, Rows]:
        """Read a stretch of the order.

        Args:
            start: First position, from zero.
            stop: Position after the last.

        Returns:
            For each position, the visit it belongs to and the row within that set, both
            ``(stop - start,)``.

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
            known = self._stretch_at(position)
            wanted = slice(position - known.begin, stop - known.begin)
            parts.append((known.visits[wanted], known.rows[wanted]))
            position = known.end
        visits, rows = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return visits, rows

    def group_of(self, visit: int) -> int:
        """Number the groups of visits whose rows are permuted together, and find that of one."""
        return visit // max(self._group_size, 1)

    def stretch_of(self, visit: int) -> tuple[int, Visits]:
        """Find the rows of a visit, and those that are permuted together with them.

        Args:
            visit: The visit, from zero.

        Returns:
            First position of the stretch, and the visit that each of its positions belongs to.
        """
        size = max(self._group_size, 1)
        first = visit // size * size
        begin = int(self._ends[first] - self.visited_lengths[first])
        end = int(self._ends[min(first + size, len(self._ends)) - 1])
        if self._mode.group <= 1:
            return begin, np.full(end - begin, visit)
        known = self._stretch_at(begin)
        return begin, known.visits[begin - known.begin : end - known.begin]

    def visits_before(self, position: int) -> int:
        """Count the visits, from the first, of which no row is at a position or after it."""
        size = max(self._group_size, 1)
        return int(self._visit_at(position)) // size * size

    def visits_until(self, position: int) -> int:
        """Count the visits, from the first, that the rows before a position may come from.

        Args:
            position: From zero to the number of rows.
        """
        if position == 0:
            return 0
        size = max(self._group_size, 1)
        last = int(self._visit_at(position - 1))
        return min(last // size * size + size, len(self._ends))

    def sets_from(self, start: int, stop: int) -> tuple[int, ...]:
        """Tell which sets have rows between two positions.

        Args:
            start: First position, from zero; the number of rows handed out so far.
            stop: Position after the last.

        Returns:
            Their numbers, in the order in which they are visited.
        """
        if start >= stop:
            return ()
        size, num_visits = max(self._group_size, 1), len(self._ends)
        ends = self._visit_at([start, stop - 1]) // size * size + size
        end, last = (int(visit) for visit in np.minimum(ends, num_visits))
        visits, _ = self.rows(start, min(int(self._ends[end - 1]), stop))
        now = np.flatnonzero(np.bincount(visits))
        numbers: list[int] = self.visited_sets[[*now, *range(end, last)]].tolist()
        return tuple(numbers)

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        """Index into the sets of each visit."""
        if self._scheduled is not None:
            return self._scheduled
        order = np.arange(len(self._lengths))
        return self._random(_SETS_STREAM).permutation(order) if self._mode.sets else order

    @cached_property
    def _ends(self) -> NDArray[np.intp]:
        """Position after the last row of each visit."""
        return np.cumsum(self.visited_lengths)

    @property
    def _group_size(self) -> int:
        return min(self._mode.group, len(self._order))

    def _random(self, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, self.epoch, stream))

    def _rows_unshuffled(self, start: int, stop: int) -> tuple[Visits, Rows]:
        positions = np.arange(start, stop)
        visits = self._visit_at(positions)
        return visits, positions - (self._ends - self.visited_lengths)[visits]

    def _visit_at(self, positions: ArrayLike) -> Visits:
        return np.asarray(np.searchsorted(self._ends, positions, side="right"))

    @cached_property
    def _visits_at_once(self) -> int:
        """Visits whose rows are permuted together, or of several groups where these are small."""
        rows = max(1, self.num_rows // len(self._order)) * self._group_size
        return self._group_size * max(1, _ROWS_AT_ONCE // rows)

    def _stretch_at(self, position: int) -> _Stretch:
        """Permute the group that holds a position, and others that are near."""
        first = int(self._visit_at(position)) // self._visits_at_once * self._visits_at_once
        if first not in self._stretches:
            if len(self._stretches) > 1:  # a batch may straddle two of them
                del self._stretches[next(iter(self._stretches))]
            self._stretches[first] = self._make_stretch(first)
        return self._stretches[first]

    def _make_stretch(self, first: int) -> _Stretch:
        lengths = self.visited_lengths[first : first + self._visits_at_once]
        ends = np.cumsum(lengths)
        begins, size = ends - lengths, self._group_size
        groups = range(0, len(lengths), size)
        bounds = [*begins[::size].tolist(), int(ends[-1])]
        permuted = [
            self._permute((first + visit) // size, begin, end)
            for visit, begin, end in zip(groups, bounds[:-1], bounds[1:], strict=True)
        ]
        order = permuted[0] if len(permuted) == 1 else np.concatenate(permuted)
        places = np.repeat(np.arange(len(lengths)), lengths)[order]
        begin = int(self._ends[first] - lengths[0])
        return _Stretch(begin, first + places, order - begins[places])

    def _permute(self, group: int, begin: int, end: int) -> NDArray[np.intp]:
        """Shuffle the numbers from one to another as the rows of a group are shuffled."""
        num_rows, block = end - begin, self._mode.block
        order = self._random(1 + group).permutation(num_rows // block)
        if block > 1:
            order = (order[:, np.newaxis] * block + np.arange(block)).ravel()
            # What is left of a set after its whole blocks stays at the set's end.
            order = np.concatenate([order, np.arange(len(order), num_rows)])
        order += begin
        return order


def _look_up(sets: Sequence[int], lengths: Mapping[int, int]) -> NDArray[np.intp]:
    places = {number: place for place, number in enumerate(lengths)}
    if unknown := [number for number in sets if number not in places]:
        known = ", ".join(map(str, places))
        raise DataError(f"Expected set numbers that exist, but got {unknown}. Known: {known}.")
    return np.fromiter((places[number] for number in sets), np.intp, len(sets))

"""The batches of an epoch as arithmetic.

The rows of batch ``b`` of epoch ``e`` are a pure function of the sets' lengths, the batch size, the
shuffle, the seed, ``e`` and ``b``. Nothing is kept between calls but what is worth not computing
twice, so any batch of any epoch can be asked for in any order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leyden.data.grid import BatchGrid
from leyden.data.order import EpochOrder, Visits, name_shuffle
from leyden.data.origin import BatchOrigin, PlannedOrigin, Slice, part_name
from leyden.data.picks import Picks
from leyden.errors import check_whole
from leyden.lifecycle import Window
from leyden.types import Rows

__all__ = ["Begin", "EpochPlan"]


_ROWS_AT_ONCE = 4096  # worked out where one batch is asked for


@dataclass(frozen=True, slots=True)
class Begin:
    """Where an epoch goes on that was begun with batches of another size, or on other ranks.

    Args:
        row: Position of the next row.
        batch: Batches that were handed out before it.
        step_rows: Rows of the next batch, of all ranks together, if some of its windows were handed
            out already; else 0.
    """

    row: int = 0
    batch: int = 0
    step_rows: int = 0


class _Stretch(NamedTuple):
    """Consecutive batches, each of them set by set.

    Args:
        first: Index of the first batch.
        bounds: Where each batch begins among the rows, and where the last one ends.
        sets: The sets there are.
        visits: Which visit each of them is.
        places: Which of the sets each row is from, ``(rows,)``.
        rows: Its index within that set, ``(rows,)``.
        positions: Those in the canonical order, ascending, ``(rows,)``.
        order: Which of these each row has, ``(rows,)``; ``None`` if they have them in order.
    """

    first: int
    bounds: list[int]
    sets: tuple[int, ...]
    visits: Visits
    places: NDArray[np.intp]
    rows: Rows
    positions: Sequence[int] | NDArray[np.intp]
    order: NDArray[np.intp] | None

    @property
    def stop(self) -> int:
        """Index after the last batch."""
        return self.first + len(self.bounds) - 1

    def position(self, row: int) -> int:
        """Find a row in the canonical order."""
        return int(self.positions[row if self.order is None else self.order[row]])


class _Runs:
    """Consecutive batches as runs of rows of one set; batches are told by their index in the epoch.

    Args:
        plan: Their epoch.
        stretch: The batches, all windows of each together.
    """

    def __init__(self, plan: "EpochPlan", stretch: _Stretch) -> None:
        self._plan, self._stretch, self._windows = plan, stretch, plan.windows
        self.first, self.stop = stretch.first * plan.windows, stretch.stop * plan.windows
        begins = np.zeros(len(stretch.rows), np.bool_)  # where a batch or another set begins
        begins[stretch.bounds[:-1]] = True
        begins[1:] |= stretch.places[1:] != stretch.places[:-1]
        self._starts = np.flatnonzero(begins)
        self._bounds: list[int] = np.searchsorted(self._starts, stretch.bounds).tolist()
        sets = np.array(stretch.sets, np.int64)[stretch.places[self._starts]]
        self._sets: tuple[int, ...] = tuple(sets.tolist())

    def set_numbers(self, batch_index: int) -> tuple[int, ...]:
        """The sets of a batch, slice by slice."""
        place = (batch_index - self.first) // self._windows
        return self._sets[self._bounds[place] : self._bounds[place + 1]]

    def slices(self, batch_index: int) -> tuple[Slice, ...]:
        """The runs of a batch, with their names."""
        place = (batch_index - self.first) // self._windows
        begin, end = self._bounds[place : place + 2]
        starts = [*self._starts[begin:end].tolist(), self._stretch.bounds[place + 1]]
        return tuple(map(self._slice, self._sets[begin:end], starts[:-1], starts[1:]))

    def _slice(self, set_number: int, start: int, stop: int) -> Slice:
        stretch = self._stretch
        visit, position = stretch.visits[stretch.places[start]], stretch.position(start)
        part = self._plan.part_name(int(visit), position, stop - start)
        return Slice(set_number, stretch.rows[start:stop], part)

    def is_repeated(self, batch_index: int) -> bool:
        """Whether the only row of a batch belongs to another rank."""
        return self._plan.grid.is_repeated(batch_index // self._windows, self._plan.rank)

    def window(self, batch_index: int) -> Window | None:
        """Which window a batch is; ``None`` if it is all."""
        windows = self._windows
        return Window(batch_index % windows, windows) if windows > 1 else None


class EpochPlan:
    """The batches of one epoch, in order.

    Args:
        lengths: Rows of each set, by set number, in the order of ``shuffle="none"``.
        batch_size: Rows of a batch; the last one may be shorter.
        shuffle: ``"none"``, ``"sets"``, ``"blocks"``, ``"rows"``, ``"window:K"`` or ``"full"``.
            Blocks are of the batch size, unless it is told, ``"blocks:B"``.
        seed: Decides every shuffle.
        epoch: Which epoch, from zero.
        drop_last: Whether a shorter last batch is left out.
        sets: The sets to visit, in this order; ``None`` for each once, in the shuffle's order.
        ranks: Which rank the batches are for, and how many there are.
        begin: Where the epoch was begun with other batches.
        windows: How many windows of time each batch is handed out in, one after another; each
            counts as a batch.

    Attributes:
        epoch: Which epoch, from zero.
        windows: How many windows each batch is handed out in.
        first_index: Index of the first batch that is known, each window for itself.

    Raises:
        ConfigError: If an argument is out of range, or no batch is left.
        DataError: If a set to visit does not exist.

    Example:
        >>> plan = EpochPlan({1: 3, 2: 3}, batch_size=2, shuffle="none")
        >>> [batch.name for batch in plan]
        ['1-a', '1-b+2-a', '2-b']
        >>> plan[1].slices[0].rows
        array([2])
    """

    def __init__(  # noqa: PLR0913 - all that decides a batch
        self,
        lengths: Mapping[int, int],
        *,
        batch_size: int,
        shuffle: str = "rows",
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
        sets: Sequence[int] | None = None,
        ranks: tuple[int, int] = (0, 1),
        begin: Begin | None = None,
        windows: int = 1,
    ) -> None:
        check_whole("batch_size", batch_size, 1)
        named = name_shuffle(shuffle, batch_size)
        self.order = EpochOrder(lengths, shuffle=named, seed=seed, epoch=epoch, sets=sets)
        self.epoch = self.order.epoch
        self.rank, num_ranks = ranks
        self.windows = windows
        begin = begin or Begin()
        self.grid = BatchGrid(
            self.order.num_rows,
            batch_size,
            num_ranks=num_ranks,
            drop_last=drop_last,
            first_row=begin.row,
            first_batch=begin.batch,
            first_step=begin.step_rows,
        )
        self.first_index = self.grid.first_batch * windows
        self._length = len(self.grid) * windows
        self._parts: dict[int, tuple[int, NDArray[np.intp]]] = {}
        self._stretches: list[_Stretch] = []  # those that were worked out last
        self._last_runs: _Runs | None = None

    @property
    def shuffle(self) -> str:
        """The shuffle, with the size of its blocks."""
        return self.order.shuffle

    @property
    def seed(self) -> int:
        """What decides the shuffle."""
        return self.order.seed

    @property
    def batch_size(self) -> int:
        """Rows of a batch."""
        return self.grid.batch_size

    @property
    def num_rows(self) -> int:
        """Rows that are handed out in the epoch."""
        return self.grid.num_rows

    @property
    def set_order(self) -> tuple[int, ...]:
        """The set numbers in the order in which they are visited."""
        return tuple(self.order.visited_sets.tolist())

    def __len__(self) -> int:
        """Count the batches, each window for itself."""
        return self._length

    def __iter__(self) -> Iterator[BatchOrigin]:
        """Go through the batches in order."""
        return (self[index] for index in range(self.first_index, len(self)))

    @property
    def first_known(self) -> int:
        """Batches that were handed out before those that are as they would be in a new epoch."""
        return self.first_index + (1 if self.grid.first_step else 0)

    def __getitem__(self, batch_index: int) -> BatchOrigin:
        """Work out one batch.

        Args:
            batch_index: Which one, from zero, each window for itself.

        Raises:
            IndexError: If there is no such batch.
        """
        runs = self._last_runs
        if runs is None or not runs.first <= batch_index < runs.stop:
            if not self.first_index <= batch_index < self._length:
                problem = f"Expected a batch index from {self.first_index} to {len(self) - 1}"
                raise IndexError(f"{problem}, but got {batch_index!r} in epoch {self.epoch}.")
            runs = self._last_runs = self._runs_around(batch_index // self.windows)
        return PlannedOrigin(self.epoch, batch_index, runs)

    def block(self, first: int, stop: int) -> tuple[Picks, list[int]]:
        """Work out the rows of consecutive batches at once.

        Args:
            first: Index of the first batch, all its windows together.
            stop: Index after the last.

        Returns:
            The rows of all batches, in their order, and how many each batch has.
        """
        stretch = self._stretch(first, stop)
        self._stretches = [*self._stretches[-1:], stretch]
        sizes: list[int] = np.diff(stretch.bounds).tolist()
        return Picks(stretch.sets, stretch.places, stretch.rows), sizes

    def _runs_around(self, batch: int) -> _Runs:
        """Cut some batches at once of which one is asked for, and likely the next."""
        stretch = next((one for one in self._stretches if one.first <= batch < one.stop), None)
        if stretch is None:
            stop = min(batch + max(1, _ROWS_AT_ONCE // self.batch_size), len(self.grid))
            stretch = self._stretch(batch, stop)
        return _Runs(self, stretch)

    def _stretch(self, first: int, stop: int) -> "_Stretch":
        spans = self.grid.spans(first, stop, self.rank)
        bounds = [0, *np.cumsum(spans[:, 1] - spans[:, 0]).tolist()]
        begin, end = int(spans[0, 0]), int(spans[-1, 1])
        if bounds[-1] == end - begin:
            positions: Sequence[int] | NDArray[np.intp] = range(begin, end)
            visits, rows = self.order.rows(begin, end)
        else:
            positions = np.concatenate([np.arange(*span) for span in spans.tolist()])
            pairs = [self.order.rows(*span) for span in spans.tolist()]
            visits, rows = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        present, places = _tell_apart(visits)
        order = None
        if self.order.is_interleaved:
            order = _set_by_set(places, len(present), bounds)
            places, rows = places[order], rows[order]
        sets = tuple(self.order.visited_sets[present].tolist())
        return _Stretch(first, bounds, sets, present, places, rows, positions, order)

    def rows_before(self, batch_index: int) -> int:
        """Count the rows that all ranks have had, with all their windows, before a batch."""
        return self.grid.rows_before(batch_index // self.windows)

    def rows_until(self, batch_index: int) -> float:
        """Count the rows before a batch, where some windows of rows are a part of them."""
        batch, window = divmod(batch_index, self.windows)
        before = self.grid.rows_before(batch)
        if window == 0:
            return before
        return before + (self.grid.rows_before(batch + 1) - before) * window / self.windows

    def rows(self, start: int, stop: int) -> tuple[Visits, Rows]:
        """Read a stretch of the canonical order; see ``EpochOrder.rows``."""
        return self.order.rows(start, stop)

    def sets_from(self, position: int, stop: int | None = None) -> tuple[int, ...]:
        """Tell which sets have rows from a position on, in the order of their visits.

        Args:
            position: In the canonical order.
            stop: The position after the last; ``None`` for that of the epoch.
        """
        return self.order.sets_from(position, self.num_rows if stop is None else stop)

    def part_name(self, visit: int, position: int, num_rows: int) -> str:
        """Name the part of a set that a batch takes, by the batches before it that have others.

        Args:
            visit: Which visit of the set, from zero.
            position: Position of its first row.
            num_rows: Its rows.
        """
        if num_rows == self.order.visited_lengths[visit]:
            return part_name(None)
        group = self.order.group_of(visit)
        if group not in self._parts:
            if len(self._parts) > 1:  # a batch may straddle two groups
                del self._parts[next(iter(self._parts))]
            begin, visits = self.order.stretch_of(visit)
            cells = self.grid.cells(np.arange(begin, begin + len(visits)))
            self._parts[group] = begin, _count_parts(visits, cells)
        begin, parts = self._parts[group]
        return part_name(int(parts[position - begin]))


def _tell_apart(visits: Visits) -> tuple[Visits, NDArray[np.intp]]:
    """List the visits there are, and find for each position which of them it is."""
    first = visits.min()
    visits = visits - first
    present = np.flatnonzero(np.bincount(visits))
    if len(present) > present[-1]:  # all up to the last
        return present + first, visits
    places = np.empty(present[-1] + 1, np.intp)
    places[present] = np.arange(len(present))
    return present + first, places[visits]


def _set_by_set(places: NDArray[np.intp], num_sets: int, bounds: Sequence[int]) -> NDArray[np.intp]:
    """Sort the rows of each batch by their sets, and leave the batches in their order."""
    sizes, most = np.diff(bounds), np.iinfo(np.uint16).max
    before = np.arange(len(sizes)) * num_sets  # keys of the batches before
    if len(sizes) * num_sets > most:  # but each batch has few of the sets, near each other
        least, largest = (
            extreme.reduceat(places, bounds[:-1]) for extreme in (np.minimum, np.maximum)
        )
        num_sets = int((largest - least).max()) + 1
        before = np.arange(len(sizes)) * num_sets - least
    # NumPy sorts numbers of 16 bits without comparing them.
    kind = np.uint16 if len(sizes) * num_sets <= most else np.intp
    keys = np.repeat(before.astype(kind), sizes) + places.astype(kind)
    return np.argsort(keys, kind="stable")


def _count_parts(visits: Visits, cells: NDArray[np.intp]) -> NDArray[np.intp]:
    """Number the batches that share a visit, for each of the positions."""
    order = np.argsort(visits, kind="stable")  # visit by visit, the batches of each ascending
    new_visit = np.diff(visits[order], prepend=-1) != 0
    new_part = new_visit | (np.diff(cells[order], prepend=-2) != 0)
    count = np.cumsum(new_part)
    before = np.maximum.accumulate(np.where(new_visit, count, 0))
    parts = np.empty_like(order)
    parts[order] = count - before
    return parts

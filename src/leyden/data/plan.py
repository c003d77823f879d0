"""The batches of an epoch as arithmetic.

The rows of batch ``b`` of epoch ``e`` are a pure function of the sets' lengths, the batch size, the
shuffle, the seed, ``e`` and ``b``. Nothing is kept between calls but what is worth not computing
twice, so any batch of any epoch can be asked for in any order.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from leyden.data.grid import BatchGrid
from leyden.data.order import EpochOrder, Visits, check_whole, name_shuffle
from leyden.data.origin import BatchOrigin, Slice, part_name
from leyden.types import Rows

__all__ = ["EpochPlan"]


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
        begin: Position and index of the first batch, where the epoch was begun with other batches.

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
        begin: tuple[int, int] = (0, 0),
    ) -> None:
        check_whole("batch_size", batch_size, 1)
        named = name_shuffle(shuffle, batch_size)
        self.order = EpochOrder(lengths, shuffle=named, seed=seed, epoch=epoch, sets=sets)
        self.rank, num_ranks = ranks
        self.grid = BatchGrid(
            self.order.num_rows,
            batch_size,
            num_ranks=num_ranks,
            drop_last=drop_last,
            first_row=begin[0],
            first_batch=begin[1],
        )
        self._parts: dict[int, NDArray[np.intp]] = {}

    @property
    def shuffle(self) -> str:
        """The shuffle, with the size of its blocks."""
        return self.order.shuffle

    @property
    def seed(self) -> int:
        """What decides the shuffle."""
        return self.order.seed

    @property
    def epoch(self) -> int:
        """Which epoch, from zero."""
        return self.order.epoch

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
        """Count the batches."""
        return len(self.grid)

    def __iter__(self) -> Iterator[BatchOrigin]:
        """Go through the batches in order."""
        return (self[index] for index in range(self.grid.first_batch, len(self)))

    def __getitem__(self, batch_index: int) -> BatchOrigin:
        """Work out one batch.

        Args:
            batch_index: Which one, from zero.

        Raises:
            IndexError: If there is no such batch.
        """
        first = self.grid.first_batch
        if not first <= batch_index < len(self):
            problem = f"Expected a batch index from {first} to {len(self) - 1}"
            raise IndexError(f"{problem}, but got {batch_index!r} in epoch {self.epoch}.")
        start, stop = self.grid.span(batch_index, self.rank)
        visits, rows = self.order.rows(start, stop)
        slices = []
        for visit in np.unique(visits).tolist():
            places = np.flatnonzero(visits == visit)
            part = self._part(visit, start + int(places[0]), len(places))
            slices.append(Slice(int(self.order.visited_sets[visit]), rows[places], part_name(part)))
        return BatchOrigin(
            self.epoch,
            batch_index,
            tuple(slices),
            is_repeated=self.grid.is_repeated(batch_index, self.rank),
        )

    def block(self, first: int, stop: int) -> tuple[Visits, Rows, list[int]]:
        """Work out the rows of consecutive batches at once.

        Args:
            first: Index of the first batch.
            stop: Index after the last.

        Returns:
            Visit and row of every row of every batch, in the batches' order, both ``(rows,)``; and
            how many rows each batch has.
        """
        spans = [self.grid.span(index, self.rank) for index in range(first, stop)]
        sizes = [end - begin for begin, end in spans]
        if sum(sizes) == spans[-1][1] - spans[0][0]:
            visits, rows = self.order.rows(spans[0][0], spans[-1][1])
        else:
            pairs = [self.order.rows(*span) for span in spans]
            visits, rows = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        if self.order.is_interleaved:
            batches = np.repeat(np.arange(len(sizes)), sizes)
            places = np.lexsort((visits, batches))  # stable: each batch set by set
            visits, rows = visits[places], rows[places]
        return visits, rows, sizes

    def rows(self, start: int, stop: int) -> tuple[Visits, Rows]:
        """Read a stretch of the canonical order; see ``EpochOrder.rows``."""
        return self.order.rows(start, stop)

    def sets_from(self, position: int) -> tuple[int, ...]:
        """Tell which sets have rows at a position or after it, in the order of their visits."""
        return self.order.sets_from(position, self.num_rows)

    def _part(self, visit: int, position: int, num_rows: int) -> int | None:
        """Count the batches before that of a position with rows of its visit; None for all."""
        if num_rows == self.order.visited_lengths[visit]:
            return None
        begin, visits = self.order.stretch_of(visit)
        if begin not in self._parts:
            if len(self._parts) > 1:  # a batch may straddle two stretches
                del self._parts[next(iter(self._parts))]
            cells = self.grid.cells(np.arange(begin, begin + len(visits)))
            self._parts[begin] = _count_parts(visits, cells)
        return int(self._parts[begin][position - begin])


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

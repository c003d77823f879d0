"""How a stretch of rows is cut into batches for one rank or several."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leyden.errors import ConfigError, check_whole

__all__ = ["BatchGrid"]


class BatchGrid:
    """The batches of an epoch as stretches of positions.

    A step takes the next ``num_ranks * batch_size`` positions, and each rank its slice. Every rank
    makes the same number of steps, and every position belongs to one batch: what is left for the
    last step is divided evenly, and where it is less than a row for each rank, it is divided among
    the batches of the step before, which then have up to one row more. Only where the whole stretch
    has fewer rows than there are ranks, ranks without a row of their own repeat the last one.

    Args:
        num_rows: Rows of the epoch.
        batch_size: Rows of a batch of one rank.
        num_ranks: How many ranks there are.
        drop_last: Whether rows that do not fill a step are left out.
        first_row: Position at which the first batch begins, where an epoch was begun otherwise.
        first_batch: Index of that batch.
        first_step: Rows of that step, all ranks together, where it was begun with other batches;
            they are divided evenly, whatever the batch size.

    Raises:
        ConfigError: If an argument is out of range, or there is no batch and was none.

    Example:
        >>> grid = BatchGrid(10, 3, num_ranks=2)
        >>> [[grid.span(batch, rank) for rank in range(2)] for batch in range(len(grid))]
        [[(0, 3), (3, 6)], [(6, 8), (8, 10)]]
    """

    def __init__(
        self,
        num_rows: int,
        batch_size: int,
        *,
        num_ranks: int = 1,
        drop_last: bool = False,
        first_row: int = 0,
        first_batch: int = 0,
        first_step: int = 0,
    ) -> None:
        check_whole("batch_size", batch_size, 1)
        check_whole("num_ranks", num_ranks, 1)
        self.batch_size, self.num_ranks = batch_size, num_ranks
        self.first_row, self.first_batch = first_row, first_batch
        self.least = batch_size * num_ranks if drop_last else 1  # rows that make a step
        self.first_step = first_step
        self._head = 1 if first_step else 0
        self._head_bounds = _divide(first_row, first_step, num_ranks)
        self._begin = first_row + first_step  # of the steps of whole batches
        step = batch_size * num_ranks
        steps, rest = divmod(num_rows - self._begin, step)
        if drop_last:
            rest = 0
        elif 0 < rest < num_ranks and steps > 0:
            steps, rest = steps - 1, rest + step
        if first_batch + self._head + steps + rest == 0:
            problem = f"Expected at least {self.least} rows for a batch"
            raise ConfigError(f"{problem}, but got {num_rows - first_row}. Lower `batch_size`.")
        self._steps = steps  # those of whole batches
        self._last = self._begin + steps * step  # where the uneven step begins
        self._bounds = _divide(self._last, rest, num_ranks)
        self.num_rows = self._last + rest

    def __len__(self) -> int:
        """Count the batches of each rank, with those before ``first_batch``."""
        return self.first_batch + self._head + self._steps + (self.num_rows > self._last)

    def span(self, batch_index: int, rank: int = 0) -> tuple[int, int]:
        """Find the positions of a batch.

        Args:
            batch_index: Which one, from ``first_batch``.
            rank: Whose.

        Returns:
            Its first position, and the one after its last.
        """
        step = self._step(batch_index)
        if 0 <= step < self._steps:
            start = self._begin + (step * self.num_ranks + rank) * self.batch_size
            return start, start + self.batch_size
        bounds = self._head_bounds if step < 0 else self._bounds
        start, stop = int(bounds[rank]), int(bounds[rank + 1])
        return (start, stop) if start < stop else (stop - 1, stop)

    def spans(self, first: int, stop: int, rank: int = 0) -> NDArray[np.intp]:
        """Find the positions of consecutive batches.

        Args:
            first: Index of the first batch.
            stop: Index after the last.
            rank: Whose.

        Returns:
            First position of each, and the one after its last, ``(batches, 2)``.
        """
        steps = np.arange(self._step(first), self._step(stop))
        begins = self._begin + (steps * self.num_ranks + rank) * self.batch_size
        spans = np.stack([begins, begins + self.batch_size], axis=1)
        for place in np.flatnonzero((steps < 0) | (steps >= self._steps)).tolist():
            spans[place] = self.span(first + place, rank)
        return spans

    def is_repeated(self, batch_index: int, rank: int = 0) -> bool:
        """Say whether a batch holds nothing but a row that belongs to another rank."""
        if self.num_ranks == 1:
            return False
        step = self._step(batch_index)
        bounds = self._head_bounds if step < 0 else self._bounds
        return not 0 <= step < self._steps and bool(bounds[rank] == bounds[rank + 1])

    def rows_before(self, batch_index: int) -> int:
        """Count the rows that all ranks have had when they begin a batch."""
        step = self._step(batch_index)
        if step < 0:
            return self.first_row
        if step > self._steps:
            return self.num_rows
        return self._begin + step * self.num_ranks * self.batch_size

    def _step(self, batch_index: int) -> int:
        """Count the steps of whole batches before a batch; -1 for a first step that has its own."""
        return batch_index - self.first_batch - self._head

    def cells(self, positions: ArrayLike) -> NDArray[np.intp]:
        """Number the batches of all ranks through, and find those of positions.

        Args:
            positions: Positions in the epoch, ``(n,)``.

        Returns:
            The batches' numbers, ``(n,)``; -1 before the first batch.
        """
        places = np.asarray(positions, np.intp)
        before = self._head * self.num_ranks
        head = np.searchsorted(self._head_bounds, places, side="right") - 1 if before else -1
        whole = before + (places - self._begin) // self.batch_size
        last = before + self._steps * self.num_ranks
        uneven = last + np.searchsorted(self._bounds, places, side="right") - 1
        cells = np.where(places < self._begin, head, np.where(places < self._last, whole, uneven))
        return np.maximum(cells, -1)


def _divide(begin: int, rest: int, num_ranks: int) -> NDArray[np.intp]:
    """Bounds of ``num_ranks`` stretches of even lengths, the longer ones first."""
    share, more = divmod(rest, num_ranks)
    return begin + np.arange(num_ranks + 1) * share + np.minimum(np.arange(num_ranks + 1), more)

"""How a stretch of rows is cut into batches for one rank or several."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leyden.data.order import check_whole
from leyden.errors import ConfigError

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

    Raises:
        ConfigError: If an argument is out of range, or no batch is left.

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
    ) -> None:
        check_whole("batch_size", batch_size, 1)
        check_whole("num_ranks", num_ranks, 1)
        self.batch_size, self.num_ranks = batch_size, num_ranks
        self.first_row, self.first_batch = first_row, first_batch
        self.least = batch_size * num_ranks if drop_last else 1  # rows that make a step
        step = batch_size * num_ranks
        steps, rest = divmod(num_rows - first_row, step)
        if drop_last:
            rest = 0
        elif 0 < rest < num_ranks and steps > 0:
            steps, rest = steps - 1, rest + step
        if steps + rest == 0:
            problem = f"Expected at least {self.least} rows for a batch"
            raise ConfigError(f"{problem}, but got {num_rows - first_row}. Lower `batch_size`.")
        self._steps = steps  # those of whole batches
        self._last = first_row + steps * step  # where the uneven step begins
        self._bounds = _divide(self._last, rest, num_ranks)
        self.num_rows = self._last + rest

    def __len__(self) -> int:
        """Count the batches of each rank, with those before ``first_batch``."""
        return self.first_batch + self._steps + (self.num_rows > self._last)

    def span(self, batch_index: int, rank: int = 0) -> tuple[int, int]:
        """Find the positions of a batch.

        Args:
            batch_index: Which one, from ``first_batch``.
            rank: Whose.

        Returns:
            Its first position, and the one after its last.
        """
        step = batch_index - self.first_batch
        if step < self._steps:
            start = self.first_row + (step * self.num_ranks + rank) * self.batch_size
            return start, start + self.batch_size
        start, stop = int(self._bounds[rank]), int(self._bounds[rank + 1])
        return (start, stop) if start < stop else (stop - 1, stop)

    def is_repeated(self, batch_index: int, rank: int = 0) -> bool:
        """Say whether a batch holds nothing but a row that belongs to another rank."""
        step = batch_index - self.first_batch
        return step >= self._steps and bool(self._bounds[rank] == self._bounds[rank + 1])

    def rows_before(self, batch_index: int) -> int:
        """Count the rows that all ranks have had when they begin a batch."""
        step = batch_index - self.first_batch
        if step > self._steps:
            return self.num_rows
        return self.first_row + step * self.num_ranks * self.batch_size

    def cells(self, positions: ArrayLike) -> NDArray[np.intp]:
        """Number the batches of all ranks through, and find those of positions.

        Args:
            positions: Positions in the epoch, ``(n,)``.

        Returns:
            The batches' numbers, ``(n,)``; -1 before the first batch.
        """
        places = np.asarray(positions, np.intp)
        whole = np.maximum((places - self.first_row) // self.batch_size, -1)
        uneven = np.searchsorted(self._bounds, places, side="right") - 1
        return np.where(places < self._last, whole, self._steps * self.num_ranks + uneven)


def _divide(begin: int, rest: int, num_ranks: int) -> NDArray[np.intp]:
    """Bounds of ``num_ranks`` stretches of even lengths, the longer ones first."""
    share, more = divmod(rest, num_ranks)
    return begin + np.arange(num_ranks + 1) * share + np.minimum(np.arange(num_ranks + 1), more)

"""How far the batches of an epoch have come."""

from typing import NamedTuple

from leyden.data.plan import EpochPlan

__all__ = ["Progress"]


class Progress(NamedTuple):
    """How far an epoch has come.

    Args:
        plan: The epoch.
        num_batches: Batches handed out in it so far, each window for itself.
        first: The first of these that this process handed out.
        began: When it was asked for that one, in seconds of ``time.perf_counter``.
        now: When it handed out the last one.
    """

    plan: EpochPlan
    num_batches: int
    first: int
    began: float
    now: float

    @property
    def epoch(self) -> int:
        """Which epoch, from zero."""
        return self.plan.epoch

    @property
    def num_rows(self) -> int:
        """Rows handed out so far, with all their windows."""
        return self.plan.rows_before(self.num_batches)

    @property
    def rows_per_second(self) -> float:
        """Speed since the first batch that this process handed out."""
        seconds = self.now - self.began
        rows = self.plan.rows_until(self.num_batches) - self.plan.rows_until(self.first)
        return rows / seconds if seconds > 0 else 0.0

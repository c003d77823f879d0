"""What is being fit right now, and how far along it is."""

from dataclasses import dataclass
from math import inf

from typing_extensions import override

from leyden.data.progress import Progress
from leyden.lifecycle import Window
from leyden.types import Phase

__all__ = ["Status", "make_status"]


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the data at one moment of a run.

    Args:
        phase: What the current batch is used for.
        epoch: Its epoch, from zero.
        batch: Its place in the epoch, from zero.
        num_batches: Batches of the epoch, as far as the trainer's limits let them come.
        name: What the batch is called, such as ``12-b+13-a``.
        set_numbers: The sets it takes rows from.
        sets_done: Sets of which no row is left in this epoch, in the order in which they came.
        sets_left: The other sets, in the order in which they come.
        rows_left: Rows that this epoch has yet to hand out.
        rows_per_second: Speed in this epoch.
        seconds_left: Time to the end of the epoch at that speed; infinite before there is any.
        window: Which stretch of time of its rows the batch is; ``None`` if it is all.
    """

    phase: Phase
    epoch: int
    batch: int
    num_batches: int
    name: str
    set_numbers: tuple[int, ...]
    sets_done: tuple[int, ...]
    sets_left: tuple[int, ...]
    rows_left: int
    rows_per_second: float
    seconds_left: float
    window: Window | None = None

    @override
    def __str__(self) -> str:
        sets = "1 set" if len(self.sets_left) == 1 else f"{len(self.sets_left)} sets"
        window = f", window {self.window.index + 1}/{self.window.count}" if self.window else ""
        return (
            f"{self.phase} epoch {self.epoch} batch {self.batch + 1}/{self.num_batches}:"
            f" set {self.name}{window}, {sets} and {self.rows_left:,} rows left,"
            f" {self.rows_per_second:,.0f} rows/s, {self.seconds_left:.0f} s to go"
        )


def make_status(phase: Phase, progress: Progress, limit: float = inf) -> Status:
    """Describe the batch that was handed out last.

    Args:
        phase: What it is used for.
        progress: How far the epoch has come; at least one batch.
        limit: Batches after which the epoch ends, if it has more.

    Returns:
        The status.
    """
    plan, done = progress.plan, progress.num_batches
    batch = plan[done - 1]
    num_batches = len(plan) if done > limit else int(min(len(plan), limit))
    num_rows = plan.rows_before(num_batches + -num_batches % plan.windows)
    rows_done = num_rows if done == num_batches else progress.num_rows
    sets_left = plan.sets_from(rows_done, num_rows)
    unfinished = {*sets_left, *plan.sets_from(num_rows)}
    speed = progress.rows_per_second
    return Status(
        phase=phase,
        epoch=progress.epoch,
        batch=batch.batch_index,
        num_batches=num_batches,
        name=batch.name,
        set_numbers=batch.set_numbers,
        sets_done=tuple(number for number in plan.set_order if number not in unfinished),
        sets_left=sets_left,
        rows_left=num_rows - rows_done,
        rows_per_second=speed,
        seconds_left=(plan.rows_until(num_batches) - plan.rows_until(done)) / speed
        if speed > 0
        else inf,
        window=batch.window,
    )

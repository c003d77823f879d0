"""What is noted of each time that a loader is gone through."""

from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["Pass", "without_last"]


@dataclass
class Pass:
    """One time through a loader.

    Attributes:
        start: Where the generators stood before the first batch.
        drawn: Batches drawn.
        ended: Whether the loader said that there are no more.
        random_workers: Whether a worker process drew random numbers.
        new_generators: Whether generators were made while the batches were drawn.
        place: What the loader itself says of its place, if it does.
        near_end: What it said before the last batch but one, if it was asked for that.
        next: What was remembered, and where the generators stood, before a batch that was drawn
            ahead, if one was.
    """

    start: dict[str, Any] = field(default_factory=dict)
    drawn: int = 0
    ended: bool = False
    random_workers: bool = False
    new_generators: bool = False
    place: Any = None
    near_end: Any = None
    next: Any = None


def without_last(passes: list[Pass]) -> list[Pass]:
    """Take the last draw back.

    Args:
        passes: Of an epoch; they stay as they are.
    """
    if not passes:  # the epoch is over, and what was drawn ahead is of no use
        return passes
    *before, last = passes
    if last.drawn == 0:
        return [*without_last(before), last] if before else passes
    return [*before, replace(last, drawn=last.drawn - 1, ended=False)]

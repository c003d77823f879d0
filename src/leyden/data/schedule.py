"""Orders of sets that a user has asked for, each from some epoch on."""

from collections.abc import Iterable, Sequence

__all__ = ["Schedule"]


class Schedule:
    """Which sets are visited in which epoch.

    Epochs keep the order that they had, so that their batches can be had again.

    Args:
        entries: First epoch and set numbers of each order, ascending by epoch; set numbers are
            ``None`` for each set once, in the order of the shuffle.

    Example:
        >>> schedule = Schedule()
        >>> schedule.add(2, [5, 5, 1])
        >>> schedule.sets_of(1), schedule.sets_of(3)
        (None, [5, 5, 1])
    """

    def __init__(self, entries: Iterable[tuple[int, list[int] | None]] = ()) -> None:
        self.entries = [(int(epoch), sets) for epoch, sets in entries]

    def add(self, epoch: int, sets: Sequence[int] | None) -> None:
        """Change the order from an epoch on.

        Args:
            epoch: The first that it holds for; changes for later epochs are forgotten.
            sets: The sets to visit, in order; ``None`` for each once, in the order of the shuffle.
        """
        kept = [entry for entry in self.entries if entry[0] < epoch]
        self.entries = [*kept, (epoch, None if sets is None else [int(n) for n in sets])]

    def sets_of(self, epoch: int) -> list[int] | None:
        """Look up the sets to visit in an epoch; ``None`` for each once."""
        orders = [sets for first, sets in self.entries if first <= epoch]
        return orders[-1] if orders else None

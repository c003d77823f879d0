"""Where an epoch leaves a loader that says its place itself, and how it is brought back there."""

from typing import Any

from leyden.generators import undisturbed
from leyden.resume.loaders.ways import ByState
from leyden.resume.values import same

__all__ = ["Rest"]

_NOTHING = object()


class Rest:
    """Where a loader rests between two passes, so that the next one begins as it would have.

    A loader whose pass was left before its end begins another one in its own way: with the next
    epoch, say, or with the same once more. One that was put back to the place where it was left
    would go on instead; so it does, for a batch, and is left again.

    Args:
        way: How the loader is brought to a place.

    Attributes:
        place: What it said of its place when the epoch was over, or a batch before it was left.
        is_left: Whether its last pass did not come to its end.
    """

    def __init__(self, way: ByState) -> None:
        self._way = way
        self.place: Any = None
        self.is_left = False
        self._is_over = False  # whether it was put where a pass was over, and not moved since
        self._left_at: Any = None  # what it said of its place when it was left

    def note(self, place: Any, *, is_left: bool, is_there: bool) -> None:
        """Note that an epoch is over.

        Args:
            place: The new `place`.
            is_left: Whether the pass did not come to its end.
            is_there: Whether the loader was gone through to there, rather than put there.
        """
        self.place, self.is_left = place, is_left
        if not is_there:
            self.go_back()
        elif is_left:
            self._left_at = self._way.loader.state_dict()

    def go_back(self) -> None:
        """Have the loader be where the epoch left it."""
        self.leave_for(self.place, is_over=not self.is_left)
        if self.is_left:
            with undisturbed():
                if not self._begin_and_leave():  # that was what is left of a pass before
                    self._begin_and_leave()
                self._left_at = self._way.loader.state_dict()

    def leave_for(self, place: Any, *, is_over: bool) -> None:
        """Have the loader be elsewhere.

        Args:
            place: What it said of its place.
            is_over: Whether a pass was over there.
        """
        self._way.go_to(place)
        self._is_over = is_over

    def end(self) -> bool:
        """Say whether no batch was drawn since the loader was put where a pass was over.

        Some then begin the next pass, others give nothing, once.
        """
        was_over, self._is_over = self._is_over, False
        return was_over

    def is_at(self, place: Any) -> bool:
        """Whether a loader that says this has not moved since; one without a rest never did."""
        return self.place is None or (self.is_left and same(place, self._left_at))

    def _begin_and_leave(self) -> bool:
        """Draw a batch for nothing; say whether there was one."""
        batches = self._way.open({})
        has_batch = next(batches, _NOTHING) is not _NOTHING
        getattr(batches, "close", lambda: None)()  # as generators have
        return has_batch

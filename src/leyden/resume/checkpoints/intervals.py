"""How often checkpoints are written."""

import time

from leyden.errors import ConfigError

__all__ = ["Intervals"]


class Intervals:
    """Tells when a checkpoint is due: at once, and then by optimizer steps and by seconds.

    Args:
        every_n_steps: Due whenever so many optimizer steps have been made; ``None`` not to.
        every_seconds: Due whenever so many seconds have passed; ``None`` not to.

    Raises:
        ConfigError: If an argument is out of range.

    Example:
        >>> intervals = Intervals(every_n_steps=10, every_seconds=None)
        >>> intervals.is_due(0)
        True
        >>> intervals.note(5)
        >>> intervals.is_due(9), intervals.is_due(10)
        (False, True)
    """

    def __init__(self, every_n_steps: int | None, every_seconds: float | None) -> None:
        if every_n_steps is not None and every_n_steps < 1:
            raise ConfigError(
                f"Expected `every_n_steps` to be at least 1, but got {every_n_steps!r}."
            )
        if every_seconds is not None and every_seconds < 0:
            raise ConfigError(
                f"Expected `every_seconds` to be at least 0, but got {every_seconds!r}."
            )
        self._every_n_steps, self._every_seconds = every_n_steps, every_seconds
        self.begin()

    def begin(self) -> None:
        """Begin anew: a checkpoint is due at once."""
        self._steps, self._time = -1, 0.0  # optimizer steps and time at the last writing

    @property
    def has_begun(self) -> bool:
        """Whether a checkpoint has been noted."""
        return self._steps >= 0

    def note(self, steps: int) -> None:
        """Count from now on.

        Args:
            steps: Optimizer steps that have been made, as in the checkpoint that is there now.
        """
        self._steps, self._time = steps, time.monotonic()

    def is_due(self, steps: int) -> bool:
        """Whether a checkpoint is to be written.

        Args:
            steps: Optimizer steps that have been made.
        """
        due = not self.has_begun
        if self._every_n_steps is not None:
            due |= steps // self._every_n_steps > self._steps // self._every_n_steps
        if self._every_seconds is not None:
            due |= time.monotonic() - self._time >= self._every_seconds
        return due

"""Random numbers that belong to samples, whatever batch a sample is in."""

from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leyden.types import Array

__all__ = ["Draws"]

_Words: TypeAlias = NDArray[np.uint64]

_WORD = 2**64
_STEP = np.uint64(0x9E3779B97F4A7C15)  # the constants of SplitMix64 (Steele, Lea and Flood, 2014)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class Draws:
    """Random numbers for the samples of a batch, a pure function of each sample's key.

    There is no generator and nothing to advance: asking twice gives the same numbers. Ask a
    ``stream`` for others.

    Args:
        keys: One key for each sample, ``(samples,)``.

    Example:
        >>> draws = Draws.of(seed=0, epoch=2, set_numbers=[7, 7, 8], rows=[0, 1, 0])
        >>> alone = Draws.of(seed=0, epoch=2, set_numbers=[8], rows=[0])
        >>> bool(draws.uniform()[2] == alone.uniform()[0])
        True
    """

    keys: _Words

    @classmethod
    def of(cls, *, seed: int, epoch: int, set_numbers: ArrayLike, rows: ArrayLike) -> Self:
        """Make the keys of samples.

        Args:
            seed: A whole number from zero.
            epoch: Likewise.
            set_numbers: The set of each sample, ``(samples,)``, or the one set of all.
            rows: The row of each sample within its set, ``(samples,)``.
        """
        keys = np.zeros(np.shape(rows), np.uint64)
        for part in (seed, epoch, set_numbers, rows):
            whole = np.atleast_1d(part % _WORD if isinstance(part, int) else part)
            keys = _mix(keys ^ _mix(whole.astype(np.uint64) + _STEP))
        return cls(keys)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, chosen: Array | slice) -> "Draws":
        """Get the draws of some samples."""
        return Draws(self.keys[chosen])

    def stream(self, index: int) -> "Draws":
        """Get other numbers for the same samples.

        Args:
            index: Which stream, a whole number from zero.
        """
        return Draws(_mix(self.keys ^ _mix(np.array([index + 1], np.uint64))))

    def words(self, count: int) -> _Words:
        """Draw whole numbers of 64 bits, what SplitMix64 gives when seeded with the key.

        Args:
            count: How many for each sample.

        Returns:
            ``(samples, count)``.
        """
        return _mix(self.keys[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _STEP)

    def uniform(
        self, count: int = 1, *, low: float = 0.0, high: float = 1.0
    ) -> NDArray[np.float64]:
        """Draw numbers from ``low`` to ``high``.

        Args:
            count: How many for each sample.
            low: The least.
            high: The most, reached by rounding only.

        Returns:
            ``(samples, count)``, or ``(samples,)`` for one.
        """
        fractions = (self.words(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        numbers = low + (high - low) * fractions
        return numbers.reshape(len(self)) if count == 1 else numbers

    def choose(self, count: int) -> NDArray[np.intp]:
        """Draw one of ``0`` to ``count - 1`` for each sample, ``(samples,)``."""
        return (self.uniform() * count).astype(np.intp)


def _mix(words: _Words) -> _Words:
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return words ^ (words >> np.uint64(31))

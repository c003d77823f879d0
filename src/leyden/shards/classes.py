"""Words as labels: their classes are the places of the words in alphabetical order."""

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from leyden.errors import DataError
from leyden.shards.readers import ArrayReader
from leyden.types import Array

__all__ = ["Classes", "class_reader", "refuse_unknown"]

Classes: TypeAlias = tuple[str, ...]
"""What the classes 0, 1, ... are called, ascending."""


class _ClassReader(ArrayReader):
    """The classes of an array of words.

    Args:
        words: The array.
        classes: What the classes are called.
    """

    def __init__(self, words: ArrayReader, classes: Classes) -> None:
        self._words, self._classes = words, np.array(classes)
        super().__init__(tuple(words.shape), np.dtype(np.int64), self._encode)

    def _encode(self) -> Array:
        words = self._words.read(np.arange(self.shape[0]))
        refuse_unknown(np.unique(words).tolist(), self._classes.tolist())
        return np.searchsorted(self._classes, words).astype(np.int64)


@lru_cache(maxsize=8)  # the parts of one table share its array of words
def class_reader(words: ArrayReader, classes: Classes) -> ArrayReader:
    """Read classes where there are words.

    Args:
        words: An array of words, ``(rows, ...)``.
        classes: What the classes are called, ascending.

    Returns:
        The classes, int64, of the same shape; reading them raises ``DataError`` for other words.
    """
    return _ClassReader(words, classes)


def refuse_unknown(words: Iterable[str], classes: Iterable[str]) -> None:
    """Make sure that all words are names of classes.

    Raises:
        DataError: If one is not.

    Example:
        >>> refuse_unknown(["cat"], ["cat", "dog"])
    """
    known = list(classes)
    if unknown := sorted(set(words) - set(known)):
        got = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        problem = f"Expected labels to be classes that were trained on, but got {got}."
        raise DataError(f"{problem} Known: {', '.join(known[:20])}.")

"""Words as labels: their classes are the places of the words in alphabetical order."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np

from leyden.errors import DataError
from leyden.shards.readers import ArrayReader
from leyden.types import Array

__all__ = ["Classes", "class_reader", "list_names", "refuse_other_names", "refuse_unknown"]

_SHOWN = 10  # names of classes in a description

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


def refuse_other_names(own: Classes | None, names: Sequence[str] | None, path: Path) -> None:
    """Make sure that the numbers of packed labels mean what they mean in other data.

    Args:
        own: What the classes are called there; ``None`` where they have no names.
        names: What they are called in the other data, likewise.
        path: Where the labels are.

    Raises:
        DataError: If both have names, and not the same.
    """
    if names is None or own is None or own == tuple(names):
        return
    problem = f"Expected classes that were trained on, {list_names(names)}"
    got = f"{path} was packed with {list_names(own)}, which are other numbers"
    raise DataError(f"{problem}, but {got}. Pack rows of each of these classes, and of no other.")


def list_names(names: Sequence[str]) -> str:
    """Write names of classes, the first ones of many.

    Example:
        >>> list_names(("cat", "dog"))
        'cat, dog'
    """
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")

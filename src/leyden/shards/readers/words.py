"""Arrays of words, which labels may be: text, and never Python objects."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from leyden.errors import ShardError
from leyden.types import Array

__all__ = ["TEXT", "as_read", "as_words"]

TEXT = np.dtype("U")
"""What an array of words is said to hold, however long they are."""

_Load: TypeAlias = Callable[[], Array]


def as_read(stored: np.dtype[Any], load: _Load) -> tuple[np.dtype[Any], _Load]:
    """Say what a stored array is read as: texts of any length as words, numbers as they are.

    Args:
        stored: Element type as it is stored.
        load: Maps or loads the array.

    Returns:
        Element type and loader of what is read.
    """
    return (TEXT, lambda: as_words(load())) if stored.kind in "SU" else (stored, load)


def as_words(array: Array) -> Array:
    """Take texts out of an array, without white space around them.

    Args:
        array: Texts, ``(rows, ...)``; bytes are taken for UTF-8.

    Raises:
        ShardError: If one is empty, or bytes are no text.

    Example:
        >>> as_words(np.array([b"cat ", b"dog"])).tolist()
        ['cat', 'dog']
    """
    try:
        texts = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array.astype(np.str_)
    except UnicodeDecodeError as error:
        problem = f"Expected words in UTF-8, but got: {error}."
        raise ShardError(f"{problem} Save the labels as text.") from None
    words: Array = np.char.strip(texts)
    empty = np.argwhere(words == "")
    if len(empty):
        problem = f"Expected a word in every row, but row {int(empty[0][0]) + 1} is empty."
        raise ShardError(f"{problem} Fill it, or remove the row.")
    return words

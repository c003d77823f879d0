"""Whether two values are alike, whatever they are made of."""

import pickle
from functools import partial
from types import MethodType
from typing import Any

import numpy as np
from torch import Tensor

from leyden.generators import KINDS, attributes_of

__all__ = ["is_alike"]


def is_alike(one: Any, other: Any) -> bool:
    """Say whether two values are alike by type and content, such as an object and a copy of it.

    Where random generators stand does not count.

    Example:
        >>> is_alike({"a": [np.zeros(2)]}, {"a": [np.zeros(2)]}), is_alike([1], (1,))
        (True, False)
    """
    return _is_alike(one, other, set())


def _is_alike(one: Any, other: Any, seen: set[tuple[int, int]]) -> bool:
    if one is other or (id(one), id(other)) in seen:
        return True
    if type(one) is not type(other):
        return False
    seen.add((id(one), id(other)))
    if isinstance(one, np.ndarray | Tensor) and one.dtype != np.dtype(object):
        return one.dtype == other.dtype and one.shape == other.shape and _has_same(one, other)
    parts, others = _parts(one), _parts(other)
    if parts:
        return len(parts) == len(others) and all(
            _is_alike(part, another, seen) for part, another in zip(parts, others, strict=True)
        )
    return isinstance(one, KINDS) or (not others and _is_equal(one, other))


def _parts(value: Any) -> list[Any]:
    """Take a value apart, if it can be."""
    parts: list[Any]
    match value:
        case list() | tuple():
            parts = [*value]
        case dict():
            parts = [*value, *value.values()]
        case np.ndarray():  # of objects
            parts = [value.shape, *value.ravel()]
        case partial():
            parts = [value.func, value.args, value.keywords]
        case MethodType():
            parts = [value.__func__, value.__self__]
        case _:
            found = attributes_of(value)
            parts = [*found, *found.values()]
    return parts


def _has_same(one: Any, other: Any) -> bool:
    both_nan = (one != one) & (other != other)  # noqa: PLR0124 - true of what is not a number
    return bool(((one == other) | both_nan).all())


def _is_equal(one: Any, other: Any) -> bool:
    try:
        if one == other or (one != one and other != other):  # noqa: PLR0124 - likewise
            return True
        return pickle.dumps(one) == pickle.dumps(other)
    except (ValueError, TypeError, AttributeError, pickle.PicklingError):
        return False  # nobody can tell

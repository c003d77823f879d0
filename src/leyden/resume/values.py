"""Plain values that objects remember: which they are, copies of them, and whether two are alike."""

from collections import Counter, OrderedDict, defaultdict, deque
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["DTYPES", "copied", "is_plain", "num_elements", "same"]

_SIMPLE = (type(None), bool, int, float, complex, str)
_LISTS = (list, tuple, deque)
_SETS = (set,)
_MAPPINGS = (dict, OrderedDict, Counter, defaultdict)
_DEEPEST = 20
_MOST = 1 << 20
DTYPES = {  # of which both NumPy and torch have numbers
    np.dtype(kind) for kind in ("?", *"bhilq", *"BHILQ", *"efd", *"FD")
}
_FACTORIES = (None, bool, int, float, complex, str, list, dict, set)


def is_plain(value: Any, *, most: int = _MOST, depth: int = _DEEPEST) -> bool:
    """Whether a value is a number, a text, an array, or a container of those, and not data.

    Args:
        value: Anything.
        most: Items of a container, and elements of a NumPy array: more are taken for data.
        depth: Containers within containers that are looked into.
    """
    kind = type(value)
    if kind in _LISTS:
        inner = partial(is_plain, most=most, depth=depth - 1)
        return len(value) <= most and depth > 0 and all(map(inner, value))
    if kind in _SETS:
        return len(value) <= most and all(type(one) in _SIMPLE for one in value)
    if kind in _MAPPINGS:
        known = kind is not defaultdict or value.default_factory in _FACTORIES
        keys = known and len(value) <= most and all(type(key) in _SIMPLE for key in value)
        return keys and is_plain(list(value.values()), most=most, depth=depth)
    if kind is np.ndarray or isinstance(value, np.generic):
        return value.dtype in DTYPES and value.size <= most
    return kind in _SIMPLE or kind is Tensor


def num_elements(value: Any) -> int:
    """Count the numbers and texts of a plain value.

    Args:
        value: For which `is_plain` holds.
    """
    kind = type(value)
    if kind is Tensor:
        return int(value.numel())
    if kind is np.ndarray:
        return int(value.size)
    if kind in _MAPPINGS:
        return sum(map(num_elements, value.values()))
    return sum(map(num_elements, value)) if kind in (*_LISTS, *_SETS) else 1


def copied(value: Any, device: torch.device | None = None) -> Any:
    """Copy a plain value.

    Args:
        value: For which `is_plain` holds.
        device: Where tensors of the copy are to be; ``None`` for where they are.
    """
    kind = type(value)
    if kind is Tensor:
        return value.detach().to(device or value.device, copy=True)
    if kind in _MAPPINGS:
        new = value.copy()  # with what a missing key gets
        for key, one in value.items():
            new[key] = copied(one, device)
        return new
    if kind is deque:
        return deque((copied(one, device) for one in value), value.maxlen)
    if kind in _LISTS:
        return kind(copied(one, device) for one in value)
    return value.copy() if isinstance(value, np.ndarray | set) else value


def same(first: Any, second: Any) -> bool:  # noqa: PLR0911 - one for each kind
    """Whether two plain values are alike, to the bit and by type.

    Args:
        first: A plain value.
        second: Anything.
    """
    if type(first) is not type(second):
        return False
    if isinstance(first, Tensor):
        return first.device == second.device and torch.equal(first, second)
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    if isinstance(first, _LISTS):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[k], second[k]) for k in first)
    return bool(first == second)

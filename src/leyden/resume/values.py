"""Plain values that objects remember: which they are, copies of them, and whether two are alike."""

import copy
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from enum import Enum
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "DTYPES",
    "copied",
    "find_record",
    "is_plain",
    "made_record",
    "num_elements",
    "put",
    "record_of",
    "same",
]

_SIMPLE = (type(None), bool, int, float, complex, str)
_KINDS = frozenset(_SIMPLE)
_LISTS = (list, tuple, deque)
_SETS = (set,)
_MAPPINGS = (dict, OrderedDict, Counter, defaultdict)
_DEEPEST = 20
_MOST = 1 << 20
DTYPES = {  # of which both NumPy and torch have numbers
    np.dtype(kind) for kind in ("?", *"bhilq", *"BHILQ", *"efd", *"FD")
}
_FACTORIES = (None, bool, int, float, complex, str, list, dict, set)


def is_plain(  # noqa: PLR0911 - one for each kind
    value: Any, *, most: int = _MOST, depth: int = _DEEPEST
) -> bool:
    """Whether a value is a number, a text, an array, or a container of those, and not data.

    Records are containers too: named tuples and dataclasses; and members of an `enum.Enum`.

    Args:
        value: Anything.
        most: Items of a container, and elements of a NumPy array: more are taken for data.
        depth: Containers within containers that are looked into.
    """
    kind = type(value)
    if kind in _SIMPLE or kind is Tensor:
        return True
    if kind in _LISTS:
        inner = partial(is_plain, most=most, depth=depth - 1)
        return len(value) <= most and depth > 0 and (_is_flat(value) or all(map(inner, value)))
    if kind in _SETS:
        return len(value) <= most and all(type(one) in _SIMPLE for one in value)
    if kind in _MAPPINGS:
        known = kind is not defaultdict or value.default_factory in _FACTORIES
        keys = known and len(value) <= most and all(type(key) in _SIMPLE for key in value)
        return keys and is_plain(list(value.values()), most=most, depth=depth)
    if kind is np.ndarray or isinstance(value, np.generic):
        return value.dtype in DTYPES and value.size <= most
    record = record_of(value)
    return record is not None and is_plain(record, most=most, depth=depth)


def record_of(value: Any) -> Any:
    """What a record consists of.

    Args:
        value: Anything.

    Returns:
        The members of a named tuple as a tuple, those of a dataclass as a dictionary, the name of a
        member of an enumeration; ``None`` for what is none, or has a class nobody could find.
    """
    kind = type(value)
    if isinstance(value, Enum):
        content: Any = value.name
    elif isinstance(value, tuple) and hasattr(kind, "_fields"):
        content = tuple(value)
    elif is_dataclass(kind) and hasattr(value, "__dict__"):
        content = dict(vars(value))
    else:
        return None
    return content if find_record(kind.__module__, kind.__qualname__) is kind else None


def find_record(module: str, name: str) -> Any:
    """Find the class of a record in a module that has been imported already.

    Args:
        module: Name of the module.
        name: Qualified name of the class.

    Returns:
        The class, or ``None`` if there is no class of records by that name.
    """
    try:
        found = attrgetter(name)(sys.modules[module])
    except (AttributeError, KeyError):
        return None
    is_record = isinstance(found, type) and (
        issubclass(found, Enum)
        or (issubclass(found, tuple) and hasattr(found, "_fields"))
        or is_dataclass(found)
    )
    return found if is_record else None


def made_record(kind: Any, content: Any) -> Any:
    """Put a record together again, without running any of its code.

    Args:
        kind: Its class.
        content: What `record_of` returned.
    """
    if issubclass(kind, Enum):
        return kind[content]
    if issubclass(kind, tuple):
        return tuple.__new__(kind, content)
    made = object.__new__(kind)
    vars(made).update(content)
    return made


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
        return num_elements(list(value.values()))
    if kind in (*_LISTS, *_SETS):
        return len(value) if _is_flat(value) else sum(map(num_elements, value))
    record = record_of(value)
    return 1 if record is None else num_elements(record)


def copied(value: Any, device: torch.device | None = None) -> Any:  # noqa: PLR0911 - likewise
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
        if not _is_flat(value.values()):
            for key, one in value.items():
                new[key] = copied(one, device)
        return new
    if kind in _LISTS and _is_flat(value):
        return copy.copy(value)
    if kind is deque:
        return deque((copied(one, device) for one in value), value.maxlen)
    if kind in _LISTS:
        return kind(copied(one, device) for one in value)
    record = record_of(value)
    if record is not None:
        return made_record(kind, copied(record, device))
    return value.copy() if isinstance(value, np.ndarray | set) else value


def _is_flat(values: Iterable[Any]) -> bool:
    """Whether all members are numbers and texts; many are looked through in no time."""
    return _KINDS.issuperset(map(type, values))


def put(
    value: Any,
    current: Any,
    device: torch.device | None,
    may_fill: Callable[[Tensor], bool] = lambda _: True,
) -> Any:
    """Have something be a value: filled with it where that is possible, as others may hold it too.

    Args:
        value: Plain; it stays apart.
        current: What there is now.
        device: Where tensors are to be, if they are not filled.
        may_fill: Whether a tensor may be filled.

    Returns:
        The current object, or a copy of the value.
    """
    kind = type(value)
    if kind is not type(current):
        return copied(value, device)
    if kind is Tensor and _is_alone(current) and _is_alike(current, value) and may_fill(current):
        with torch.no_grad():
            current.copy_(value)
    elif kind is np.ndarray and current.flags.writeable and _is_alike(current, value):
        current[...] = value
    elif kind in (list, deque) and getattr(current, "maxlen", None) == getattr(
        value, "maxlen", None
    ):
        current.clear()
        current.extend(copied(value, device))
    elif kind in (dict, set, OrderedDict, Counter):
        current.clear()
        current.update(copied(value, device))
    else:
        return copied(value, device)
    return current


def _is_alike(current: Any, value: Any) -> bool:
    return bool(current.shape == value.shape and current.dtype == value.dtype)


def _is_alone(tensor: Tensor) -> bool:
    """Whether a tensor has its memory to itself, and can be filled."""
    if tensor.layout is not torch.strided or tensor.is_inference() or not tensor.is_leaf:
        return False
    return tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


def same(first: Any, second: Any) -> bool:  # noqa: PLR0911 - one for each kind
    """Whether two plain values are alike, to the bit and by type.

    Args:
        first: A plain value.
        second: Anything.
    """
    if type(first) is not type(second):
        return False
    if isinstance(first, Tensor):
        if first.dtype != second.dtype or first.device != second.device:
            return False
        return first.shape == second.shape and torch.equal(first, second)
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    if isinstance(first, _LISTS):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[k], second[k]) for k in first)
    record = record_of(first)
    if record is not None and not isinstance(first, Enum):
        return same(record, record_of(second))
    return bool(first == second)

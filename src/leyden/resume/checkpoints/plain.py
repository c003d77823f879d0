"""Checkpoints of plain data, which ``torch.load`` takes with ``weights_only=True``.

What torch takes was found by asking it: the tests save and load every type named here. A few
harmless types beside them are replaced by plain ones, and noted, so that they come back.
"""

import sys
from argparse import Namespace
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterable
from pathlib import Path, PurePath
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from leyden.errors import ResumeError
from leyden.resume.values import DTYPES, find_record, made_record, record_of

__all__ = ["as_it_was", "as_plain"]

_NOTES = "leyden_types"
_SHOWN = 20  # offenders listed in one message
_DEEPEST = 100  # levels; pickle recurses, and the interpreter ends that at a few hundred
_LARGEST = 2**2039  # pickle writes integers of more bits in a way that torch does not read
_SIMPLE = {type(None), bool, float, complex, str}
_AS_THEY_ARE = _SIMPLE | {torch.Size, torch.device, torch.dtype, torch.layout}
_FACTORIES = {kind.__name__: kind for kind in (bool, int, float, complex, str, list, dict, set)}
_TENSORS = {Tensor, nn.Parameter, nn.Buffer}

Place: TypeAlias = tuple[Any, ...]


def as_plain(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Make sure that a checkpoint can be loaded again, before it is written.

    Paths, NumPy numbers and arrays, ``deque``, ``defaultdict``, ``argparse.Namespace`` and records
    are replaced by strings, numbers, tensors, lists and dicts; which ones is noted in the result,
    for `as_it_was`. OmegaConf's containers are replaced by dicts and lists for good, interpolations
    unresolved, and its classes by names.

    Args:
        checkpoint: Nested dicts, lists, tuples and sets.

    Returns:
        A new structure of the same tensors. Arrays are copied.

    Raises:
        ResumeError: If there is anything else in it; all of it is listed with place and type.

    Example:
        >>> as_plain({"step": 3, "best": np.float32(0.5)})
        {'step': 3, 'best': 0.5, 'leyden_types': [[['best'], 'float32']]}
    """
    walk = _Walk()
    plain: dict[str, Any] = walk.plain(checkpoint, ())
    if walk.refused:
        raise ResumeError(_refusal(walk.refused))
    if walk.notes:
        plain[_NOTES] = [*plain.get(_NOTES, []), *walk.notes]
    return plain


def as_it_was(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Undo what `as_plain` noted.

    Args:
        checkpoint: What was loaded; it is changed.

    Returns:
        The same checkpoint.

    Example:
        >>> as_it_was(as_plain({"best": np.float32(0.5)}))
        {'best': np.float32(0.5)}
    """
    for place, kind in reversed(checkpoint.pop(_NOTES, [])):  # what is inside comes first
        _put_back(checkpoint, tuple(place), kind)
    return checkpoint


class _Walk:
    """One pass over a checkpoint; what it finds on the way."""

    def __init__(self) -> None:
        self.notes: list[list[Any]] = []
        self.refused: list[str] = []
        self._done: dict[int, Any] = {}
        self._kept: list[Any] = []  # alive, so that no id comes twice
        self._by_type: dict[type, Callable[[Any, Place], Any]] = {
            int: self._integer,
            bytes: self._bytes,
            bytearray: lambda value, _: bytearray(value),
            tuple: lambda value, place: tuple(self._items(value, place)),
            list: self._list,
            set: self._set,
            dict: self._dict,
            OrderedDict: self._dict,
            Counter: self._dict,
            defaultdict: self._defaultdict,
            deque: self._deque,
        }

    def plain(self, value: Any, place: Place) -> Any:
        """Give what stands for a value; note or refuse what torch would not take."""
        kind = type(value)
        if kind in _AS_THEY_ARE:
            return value
        if len(place) > _DEEPEST:
            return self._refuse(value, place, f"more than {_DEEPEST} levels deep")
        if kind in _TENSORS:
            return self._tensor(value, place)
        if kind in self._by_type:
            return self._by_type[kind](value, place)
        return self._other(value, place)

    def _refuse(self, value: Any, place: Place, why: str = "") -> None:
        name = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        self.refused.append(f"{'/'.join(map(str, place)) or 'the whole'}: {why or name}")

    def _note(self, place: Place, kind: str) -> None:
        self.notes.append([list(place), kind])

    def _integer(self, value: int, place: Place) -> int:
        if abs(value) >= _LARGEST:
            self._refuse(value, place, "an integer of more than 2039 bits")
        return value

    def _bytes(self, value: bytes, place: Place) -> bytes | bytearray:
        if value:
            return value
        self._note(place, "bytes")  # torch reads all bytes but none
        return bytearray()

    def _tensor(self, value: Tensor, place: Place) -> Tensor:
        for name, attribute in vars(value).items():
            self._unchanged(attribute, (*place, name))
        return value

    def _list(self, value: list[Any], place: Place) -> Any:
        return self._once(value, [], place, lambda new: new.extend(self._items(value, place)))

    def _dict(self, value: dict[Any, Any], place: Place) -> Any:
        def fill(new: dict[Any, Any]) -> None:
            for key, inner in value.items():
                name = self._key(key, place)
                new[name] = self.plain(inner, (*place, name))
            if hasattr(value, "__dict__"):  # versions of modules, in a state dict of torch
                vars(new).update(self._unchanged(vars(value), (*place, "__dict__")))

        return self._once(value, type(value)(), place, fill)

    def _defaultdict(self, value: defaultdict[Any, Any], place: Place) -> Any:
        factory = value.default_factory
        if factory is not None and factory not in _FACTORIES.values():
            return self._refuse(value, place)
        self._note(place, f"defaultdict {getattr(factory, '__name__', '')}")
        return self._dict(dict(value), place)

    def _deque(self, value: deque[Any], place: Place) -> Any:
        self._note(place, f"deque {'' if value.maxlen is None else value.maxlen}")
        return self._list(list(value), place)

    def _set(self, value: set[Any], place: Place) -> set[Any]:
        return {self._key(key, place) for key in value}

    def _items(self, value: Collection[Any], place: Place) -> Iterable[Any]:
        kinds = set(map(type, value))
        if kinds <= _SIMPLE:  # a long list of numbers takes no long time
            return value
        if kinds == {int} and max(value) < _LARGEST and min(value) > -_LARGEST:
            return value
        return [self.plain(inner, (*place, index)) for index, inner in enumerate(value)]

    def _once(self, value: Any, new: Any, place: Place, fill: Callable[[Any], None]) -> Any:
        """Convert a container; one that is in two places stays one."""
        if id(value) in self._done:
            done = self._done[id(value)]
            return self._refuse(value, place, "contains itself") if done is None else done
        self._kept.append(value)
        self._done[id(value)] = None
        fill(new)
        self._done[id(value)] = new
        return new

    def _key(self, key: Any, place: Place) -> Any:
        key = key.item() if isinstance(key, np.generic) else key  # equal, and of equal hash
        return self._unchanged(key, (*place, f"key {key!r}"))

    def _unchanged(self, value: Any, place: Place) -> Any:
        """Refuse what would have to be replaced where it could not be put back."""
        before = len(self.notes)
        plain = self.plain(value, place)
        if len(self.notes) > before:
            del self.notes[before:]
            self._refuse(value, place)
            return value
        return plain

    def _other(self, value: Any, place: Place) -> Any:
        if isinstance(value, PurePath):
            self._note(place, "Path")
            return str(value)
        if isinstance(value, np.generic | np.ndarray):
            return self._numpy(value, place)
        record = record_of(value)
        if record is not None:
            self._note(place, f"record {type(value).__module__}:{type(value).__qualname__}")
            self._kept.append(record)
            return self.plain(record, place)
        if type(value) is Namespace:
            self._note(place, "Namespace")
            return self.plain(vars(value), place)
        return self._omegaconf(value, place)

    def _numpy(self, value: Any, place: Place) -> Any:
        if isinstance(value, np.str_ | np.bytes_):
            return self.plain(value.item(), place)
        if isinstance(value, np.generic) and value.dtype in DTYPES:
            self._note(place, value.dtype.name)
            return value.item()
        if type(value) is np.ndarray and value.dtype in DTYPES:
            self._note(place, "ndarray")
            return torch.from_numpy(np.array(value))
        return self._refuse(value, place, f"{type(value).__name__} of {value.dtype}")

    def _omegaconf(self, value: Any, place: Place) -> Any:
        # Whoever has such an object has imported its package; here it is not needed otherwise.
        omegaconf = sys.modules.get("omegaconf")
        containers = () if omegaconf is None else (omegaconf.DictConfig, omegaconf.ListConfig)
        if omegaconf is not None and isinstance(value, containers):
            plain = omegaconf.OmegaConf.to_container(value, resolve=False, enum_to_str=True)
            self._kept.append(plain)
            return self.plain(plain, place)
        return value.__name__ if value in containers else self._refuse(value, place)


def _refusal(refused: list[str]) -> str:
    shown = "\n".join(refused[:_SHOWN])
    more = f"\nand {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
    return (
        "Expected the checkpoint to be plain data, so that loading it runs no code, but got\n"
        f"{shown}{more}\n"
        "Return numbers, strings, tensors, and lists and dicts of these from `state_dict`, and "
        "keep others out of the hyperparameters: `self.save_hyperparameters(ignore=[...])`."
    )


def _put_back(value: Any, place: Place, kind: str) -> Any:
    if not place:
        return _restored(value, kind)
    first, *rest = place
    changed = _put_back(value[first], tuple(rest), kind)
    if isinstance(value, tuple):
        return (*value[:first], changed, *value[first + 1 :])
    value[first] = changed
    return value


def _record(value: Any, name: str) -> Any:
    """A record of a class that the program has imported; else its content."""
    kind = find_record(*name.split(":"))
    return value if kind is None else made_record(kind, value)


def _restored(value: Any, kind: str) -> Any:
    name, _, detail = kind.partition(" ")
    if name in _BACK:
        return _BACK[name](value, detail)
    return np.dtype(kind).type(value)


_BACK: dict[str, Callable[[Any, str], Any]] = {
    "Path": lambda value, _: Path(value),
    "bytes": lambda value, _: bytes(value),
    "ndarray": lambda value, _: value.numpy(),
    "Namespace": lambda value, _: Namespace(**value),
    "deque": lambda value, most: deque(value, int(most) if most else None),
    "record": _record,
    "defaultdict": lambda value, factory: defaultdict(_FACTORIES.get(factory), value),
}

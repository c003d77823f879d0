"""What samplers and datasets remember from one batch, or one epoch, to the next."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from leyden.resume.holders import is_of_library, own_attributes
from leyden.resume.values import copied, is_plain, num_elements, put, same

__all__ = ["Memory", "Remembered", "holder_of_iterator"]

Remembered = Mapping[str, Any]
"""Values of attributes, by owner and name."""

_MOST = 1 << 16  # numbers and texts of an attribute that is looked at: more is data
_DEPTH = 6
_FEW = 16  # members of a container that are looked into
_INNER = ("batch_sampler", "sampler", "dataset", "datasets")


class Memory:
    """Plain attributes of the samplers and datasets of a loader, such as a count of epochs.

    So are those of objects of the project's own classes that they hold, such as a transform.

    Of attributes that are as they were when the loader was made, nothing is kept: they are the
    project's, which may have changed since.

    Args:
        loader: A loader of torch's, or any iterable.
    """

    def __init__(self, loader: object) -> None:
        self._loader = loader
        self._first = self.read()

    def read(self) -> dict[str, Any]:
        """Copy the attributes."""
        return {
            f"{name}.{key}": copied(value)
            for name, owner in self._owners().items()
            for key, value in own_attributes(owner).items()
            if is_plain(value, most=_MOST) and num_elements(value) <= _MOST
        }

    def write(self, remembered: Remembered) -> None:
        """Give attributes their values; those of owners that are not there are left out.

        Args:
            remembered: What `read` returned, or some of it.
        """
        owners = self._owners()
        for place, value in remembered.items():
            name, _, key = place.rpartition(".")
            current = vars(owners[name]).get(key) if name in owners else value
            if not same(current, value):
                vars(owners[name])[key] = put(value, current, None)

    def changed(self, moments: Iterable[Remembered]) -> set[str]:
        """Say which attributes are not at all moments as they were first.

        Args:
            moments: What `read` returned at several times.
        """
        return {
            place
            for now in moments
            for place, value in now.items()
            if place not in self._first or not same(value, self._first[place])
        }

    def _owners(self) -> dict[str, Any]:
        owners: dict[str, Any] = {}
        if not is_of_library(type(self._loader)):
            _find("loader", self._loader, owners, _DEPTH)
        for name in _INNER:
            _find(name, getattr(self._loader, name, None), owners, _DEPTH)
        return owners


def holder_of_iterator(loader: object) -> str | None:
    """Find what of a loader is an iterator that goes on from one epoch to the next, or keeps one.

    Args:
        loader: A loader of torch's, or any iterable.

    Returns:
        Its name, such as ``sampler``; ``None`` if there is none.
    """
    found: dict[str, Any] = {}
    for name in _INNER:
        part = getattr(loader, name, None)
        if _is_iterator(part):
            return name
        _find(name, part, found, _DEPTH)
    _find("loader", loader, found, 1)
    for name, owner in (*found.items(), ("loader", loader)):
        for key, value in getattr(owner, "__dict__", {}).items():
            if key != "_iterator" and _is_iterator(value):  # torch's, for workers that persist
                return f"{name}.{key}".removeprefix("loader.")
    return None


def _is_iterator(value: object) -> bool:
    """Whether it is a generator or an iterator of Python's or torch's; a file has a place."""
    is_made = type(value).__module__ in ("builtins", "itertools", "torch.utils.data.dataloader")
    return isinstance(value, Iterator) and is_made


def _find(name: str, owner: Any, owners: dict[str, Any], depth: int) -> None:
    if depth == 0 or not hasattr(owner, "__dict__") or any(owner is one for one in owners.values()):
        return
    if not isinstance(owner, type):
        owners[name] = owner
    for key, value in own_attributes(owner).items():
        for label, part in ((key, value), *_members(key, value)):
            if key in _INNER or _remembers(part):
                _find(f"{name}.{label}", part, owners, depth - 1)


def _members(key: str, value: Any) -> list[tuple[str, Any]]:
    if type(value) in (list, tuple) and len(value) <= _FEW:
        return [(f"{key}[{index}]", one) for index, one in enumerate(value)]
    if type(value) is dict and len(value) <= _FEW:
        return [(f"{key}[{name!r}]", one) for name, one in value.items()]
    return []


def _remembers(part: Any) -> bool:
    """Whether it is one of torch's kinds, a list of transforms, or of the project's own."""
    return isinstance(part, Sampler | Dataset | DataLoader) or (
        not isinstance(part, nn.Module | Tensor | Callback | Trainer | type)
        and hasattr(part, "__dict__")
        and ("transforms" in vars(part) or not is_of_library(type(part)))
    )

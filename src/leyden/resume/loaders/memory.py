"""What samplers and datasets remember from one batch, or one epoch, to the next."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch.utils.data import DataLoader, Dataset, Sampler

from leyden.resume.values import copied, is_plain, num_elements, same

__all__ = ["Memory", "Remembered"]

Remembered = Mapping[str, Any]
"""Values of attributes, by owner and name."""

_MOST = 1 << 16  # numbers and texts of an attribute that is looked at: more is data
_DEPTH = 4
_INNER = ("batch_sampler", "sampler", "dataset", "datasets")
_LIBRARIES = ("torch", "lightning")


class Memory:
    """Plain attributes of the samplers and datasets of a loader, such as a count of epochs.

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
            for key, value in vars(owner).items()
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
            if name in owners and not same(vars(owners[name]).get(key), value):
                vars(owners[name])[key] = copied(value)

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
        if not isinstance(self._loader, DataLoader):
            _find("loader", self._loader, owners, _DEPTH)
        for name in _INNER:
            _find(name, getattr(self._loader, name, None), owners, _DEPTH)
        return owners


def _find(name: str, owner: Any, owners: dict[str, Any], depth: int) -> None:
    if depth == 0 or not hasattr(owner, "__dict__") or any(owner is one for one in owners.values()):
        return
    if not isinstance(owner, type) and type(owner).__module__.partition(".")[0] not in _LIBRARIES:
        owners[name] = owner
    for key, value in vars(owner).items():
        parts = enumerate(value) if type(value) in (list, tuple) and len(value) < _DEPTH else ()
        for label, part in ((key, value), *((f"{key}[{index}]", one) for index, one in parts)):
            if key in _INNER or isinstance(part, Sampler | Dataset | DataLoader):
                _find(f"{name}.{label}", part, owners, depth - 1)

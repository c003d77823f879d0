"""What of a project may remember something: modules, and objects of the project's own classes."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from sysconfig import get_paths
from types import FunctionType, ModuleType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset, Sampler

from leyden.generators import attributes_of

__all__ = [
    "CALLBACK",
    "Holders",
    "find_holders",
    "is_of_library",
    "numbered",
    "own_attributes",
    "roots_of",
]

CALLBACK = "callback "

_NOT_LOOKED_INTO = (  # they are looked after elsewhere, or hold the data
    *(Callback, LightningDataModule, Dataset, Sampler, DataLoader, Trainer),
    *(type, ModuleType, FunctionType, torch.Tensor),
)
_LIBRARIES = tuple(get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_DEPTH = 8  # objects within objects that are looked into
_FEW = 256  # members of a container that are looked into

_THEIR_OWN = (  # of a framework's classes, which see to these attributes themselves
    (LightningModule, frozenset(vars(LightningModule())) - {"training"}),
    (LightningDataModule, frozenset(vars(LightningDataModule()))),
    (nn.Module, frozenset(vars(nn.Module())) - {"training"}),
    (Optimizer, frozenset(vars(torch.optim.SGD([torch.zeros(1)], 0.1)))),
    (DataLoader, frozenset(vars(DataLoader(Dataset())))),
)


@dataclass
class Holders:
    """Objects that were found, by the way to each of them.

    Attributes:
        owners: Those whose attributes are looked at.
        hidden: Modules among them that no other module has among its parts, without their parts.
        stateful: Objects of other libraries that say their state themselves, such as an optimizer.
    """

    owners: dict[str, Any] = field(default_factory=dict)
    hidden: dict[str, nn.Module] = field(default_factory=dict)
    stateful: dict[str, Any] = field(default_factory=dict)


def find_holders(roots: Mapping[str, object]) -> Holders:
    """Look through objects, what they hold, and so on.

    Args:
        roots: Objects to begin with, by name.

    Returns:
        What was found, each object once, by the names of the attributes that lead to it.
    """
    found, seen = Holders(), set[int]()
    for name, root in roots.items():
        seen.add(id(root))
        _take(name, root, found, seen, _DEPTH)
    return found


def roots_of(trainer: Trainer, module: nn.Module) -> dict[str, object]:
    """The module of a trainer, and the project's own data module, optimizers and callbacks.

    Args:
        trainer: The trainer.
        module: Its module.

    Returns:
        By names, of which those of callbacks begin with `CALLBACK`. Callbacks that say their state
        themselves are not among them.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined] # set outside its class
    others = {
        "datamodule": getattr(trainer, "datamodule", None),
        **{f"optimizer {index}": one for index, one in enumerate(trainer.optimizers)},
        **numbered(CALLBACK, [one for one in callbacks if not _overrides_state(one)]),
    }
    own = {
        name: one
        for name, one in others.items()
        if one is not None and not is_of_library(type(one))
    }
    return {"module": module, **own}


def numbered(prefix: str, some: Sequence[object]) -> dict[str, object]:
    """Name objects by their classes, and number those of one class."""
    seen: Counter[str] = Counter()
    named: dict[str, object] = {}
    for one in some:
        kind = type(one).__qualname__
        named[f"{prefix}{kind} {seen[kind]}"] = one
        seen[kind] += 1
    return named


def _overrides_state(callback: Callback) -> bool:
    return type(callback).state_dict is not Callback.state_dict


def own_attributes(owner: object) -> dict[str, Any]:
    """The attributes of an object, in its dictionary and in slots, but for a framework's own."""
    found = attributes_of(owner)
    for kind, names in _THEIR_OWN:
        if isinstance(owner, kind):
            return {name: value for name, value in found.items() if name not in names}
    return found


def is_of_library(kind: type) -> bool:
    """Whether a class is not of the user's project, which a notebook may be."""
    name = kind.__module__
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    is_project = name == "__main__" or (file != "" and not file.startswith(_LIBRARIES))
    return not is_project or _is_of_leyden(kind)


def _is_of_leyden(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "leyden"


def _take(name: str, owner: Any, found: Holders, seen: set[int], depth: int) -> None:
    found.owners[name] = owner
    if isinstance(owner, nn.Module):
        for key, part in owner.named_children():
            if id(part) not in seen:
                seen.add(id(part))
                _take(f"{name}.{key}", part, found, seen, depth)
    for key, value in own_attributes(owner).items():
        _look(f"{name}.{key}", value, found, seen, depth - 1)


def _look(name: str, value: Any, found: Holders, seen: set[int], depth: int) -> None:
    if depth == 0 or id(value) in seen or isinstance(value, _NOT_LOOKED_INTO):
        return
    members = list(_members(value))
    if members:
        seen.add(id(value))
        for key, member in members:
            _look(f"{name}[{key!r}]", member, found, seen, depth - 1)
    elif isinstance(value, nn.Module) or _is_of_project(value):
        seen.add(id(value))
        if isinstance(value, nn.Module):
            found.hidden[name] = value
        _take(name, value, found, seen, depth)
    elif _says_its_state(value):
        seen.add(id(value))
        found.stateful[name] = value


def _members(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, list | tuple) and len(value) <= _FEW:
        yield from enumerate(value)
    elif type(value) is dict and len(value) <= _FEW:
        yield from value.items()


def _is_of_project(value: object) -> bool:
    has_attributes = hasattr(value, "__dict__") or hasattr(type(value), "__slots__")
    return (
        has_attributes and not isinstance(value, BaseException) and not is_of_library(type(value))
    )


def _says_its_state(value: object) -> bool:
    kind = type(value)
    if hasattr(kind, "__iter__"):  # a loader, which does more than that when it is asked
        return False
    if _is_of_leyden(kind):  # part of a data module, a callback ..., which sees to it itself
        return False
    return all(callable(getattr(kind, name, None)) for name in ("state_dict", "load_state_dict"))

"""Random generators that modules, data modules and callbacks keep for themselves."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from leyden.generators import KINDS, Generator, generator_states, restore_generators
from leyden.resume.holders import find_holders, numbered, own_attributes

__all__ = ["own_generator_states", "restore_own_generators"]

_FEW = 256  # members of a container that are looked at


def own_generator_states(module: nn.Module, others: Sequence[object]) -> dict[str, Any]:
    """Say where the generators stand that a module, its parts and others hold as attributes.

    Args:
        module: Any module.
        others: The callbacks of a trainer, and its data module.

    Returns:
        A state for each generator, by the name of its place.
    """
    found = _find(module, others)
    return dict(zip(found, generator_states(list(found.values())), strict=True))


def restore_own_generators(
    module: nn.Module, others: Sequence[object], states: Mapping[str, Any]
) -> None:
    """Put them back; those that are not there yet are named in a warning.

    Args:
        module: Of the same kind.
        others: Of the same kinds; those of one kind in the same order.
        states: What `own_generator_states` returned.
    """
    found = _find(module, others)
    there = [name for name in states if name in found]
    restore_generators([found[name] for name in there], [states[name] for name in there])
    if missing := [name for name in states if name not in found]:
        warnings.warn(
            f"Random generators that the run had are not there, so that it will differ: "
            f"{', '.join(missing)}. Make them where the module, data module or callback is made.",
            stacklevel=2,
        )


def _find(module: nn.Module, others: Sequence[object]) -> dict[str, Generator]:
    found = find_holders({"module": module, **numbered("", others)})
    return {
        f"{name}.{key}": value
        for name, owner in found.owners.items()
        for attribute, one in own_attributes(owner).items()
        for key, value in _members(attribute, one)
        if isinstance(value, KINDS)
    }


def _members(key: str, value: Any, depth: int = 4) -> list[tuple[str, Any]]:
    """A value and, if it is a list or dictionary, its members and theirs."""
    members: list[tuple[str, Any]] = [(key, value)]
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, list | tuple):
        parts = enumerate(value)
    elif type(value) is dict:
        parts = ((repr(name), part) for name, part in value.items())
    if depth and parts and len(value) <= _FEW:
        members += [
            member for name, part in parts for member in _members(f"{key}[{name}]", part, depth - 1)
        ]
    return members

"""Random generators that modules, data modules and callbacks keep for themselves."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from leyden.generators import KINDS, Generator, generator_states, restore_generators

__all__ = ["own_generator_states", "restore_own_generators"]


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
    owners = [(f"module.{name}", part) for name, part in module.named_modules()]
    seen: Counter[str] = Counter()
    for other in others:
        kind = type(other).__qualname__
        owners.append((f"{kind} {seen[kind]}", other))
        seen[kind] += 1
    return {
        f"{owner}.{key}": value
        for owner, one in owners
        for key, value in _attributes(one)
        if isinstance(value, KINDS)
    }


def _attributes(owner: object) -> list[tuple[str, Any]]:
    """Attributes, and the members of those that are lists or dictionaries."""
    members: list[tuple[str, Any]] = []
    for key, value in vars(owner).items():
        members.append((key, value))
        if isinstance(value, list | tuple):
            members += [(f"{key}[{index}]", part) for index, part in enumerate(value)]
        elif type(value) is dict:
            members += [(f"{key}[{name!r}]", part) for name, part in value.items()]
    return members

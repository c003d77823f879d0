"""The random generators of a process: where they stand, and how to put them back there.

States are tensors, numbers and lists only, so that a checkpoint that holds them loads with
``weights_only=True``.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import CellType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, TypeAlias

import numpy as np
import torch

from leyden.errors import ResumeError

__all__ = [
    "KINDS",
    "Generator",
    "Stream",
    "attributes_of",
    "find_generators",
    "generator_states",
    "global_state",
    "restore_generators",
    "restore_global_state",
    "undisturbed",
]

Generator: TypeAlias = torch.Generator | np.random.Generator | np.random.RandomState | random.Random
"""A generator that an object may own."""

KINDS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
_NOT_ITS_OWN = (type, ModuleType)  # what they hold belongs to others
_FEW = 256  # members of one container that are looked through for generators
_DEPTH = 8  # attributes of attributes


def global_state(*, devices: bool = True) -> dict[str, Any]:
    """Say where the global generators of Python, NumPy and torch stand.

    Args:
        devices: Whether to include those of the CUDA devices, if CUDA is in use.

    Returns:
        A state for `restore_global_state`.
    """
    state = {
        "python": random.getstate(),
        "numpy": _as_plain(np.random.get_state(legacy=False)),
        "torch": torch.get_rng_state(),
    }
    if devices and torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_global_state(state: Mapping[str, Any]) -> None:
    """Put the global generators back to where `global_state` found them.

    Args:
        state: What `global_state` returned, perhaps in another process.
    """
    random.setstate(_as_tuples(state["python"]))
    np.random.set_state(_as_arrays(state["numpy"]))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"][: torch.cuda.device_count()])


def find_generators(owner: object) -> list[Generator]:
    """Find the generators that an object holds, in itself or in what it is made of.

    Looks through attributes, slots, lists, tuples, dictionaries, and what functions close over, in
    an order that is the same for every copy of the object. `random.SystemRandom` has no state.

    Args:
        owner: A dataset, a sampler, a loader, a transform ...

    Returns:
        Each generator once.
    """
    found: dict[int, Generator] = {}
    _search(owner, found, set(), _DEPTH)
    return list(found.values())


def generator_states(generators: list[Generator]) -> list[Any]:
    """Say where generators stand.

    Args:
        generators: As `find_generators` returns them.

    Returns:
        A state for each, for `restore_generators`.
    """
    return [_state(generator) for generator in generators]


def restore_generators(generators: list[Generator], states: list[Any]) -> None:
    """Put generators back.

    Args:
        generators: As many, of the same kinds and in the same order as when they were asked.
        states: What `generator_states` returned.

    Raises:
        ResumeError: If there are more or fewer of them.
    """
    if len(generators) != len(states):
        raise ResumeError(
            f"Expected the loader to hold {len(states)} random generators, as when the checkpoint "
            f"was written, but got {len(generators)}. Make the loader, and the generators in it, "
            "as they were made then, before the first batch is drawn."
        )
    for generator, state in zip(generators, states, strict=True):
        if isinstance(generator, torch.Generator):
            generator.set_state(state)
        elif isinstance(generator, np.random.Generator):
            generator.bit_generator.state = _as_arrays(state)
        elif isinstance(generator, np.random.RandomState):
            generator.set_state(_as_arrays(state))
        else:
            generator.setstate(_as_tuples(state))


class Stream:
    """Global generators of its own, for code that must not disturb the others'.

    What runs in `use` draws from this stream; outside of it, the global generators go on as if
    nothing had been drawn. That makes what it draws a function of the seed and of the number of
    draws before, whatever else happens in between.

    Args:
        seed: Where the stream begins.
    """

    def __init__(self, seed: int) -> None:
        outside = _raw_state()
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)
        self._state = _raw_state()
        _restore_raw_state(outside)

    @contextmanager
    def use(self) -> Iterator[None]:
        """Draw from this stream while the context lasts."""
        outside = _raw_state()
        _restore_raw_state(self._state)
        try:
            yield
        finally:
            self._state = _raw_state()
            _restore_raw_state(outside)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Have the global generators stand after the context where they stood before it."""
    before = _raw_state()
    try:
        yield
    finally:
        _restore_raw_state(before)


def _raw_state() -> tuple[Any, Any, torch.Tensor]:
    """The states as they are: no time goes into making them fit for a file."""
    return random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()


def _restore_raw_state(state: tuple[Any, Any, torch.Tensor]) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])
    torch.set_rng_state(state[2])


def _state(generator: Generator) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.Generator):
        return _as_plain(generator.bit_generator.state)
    if isinstance(generator, np.random.RandomState):
        return _as_plain(generator.get_state(legacy=False))
    return generator.getstate()


def _search(owner: object, found: dict[int, Generator], seen: set[int], depth: int) -> None:
    if isinstance(owner, random.SystemRandom):
        return
    if isinstance(owner, KINDS):
        found.setdefault(id(owner), owner)
        return
    if depth == 0 or id(owner) in seen or isinstance(owner, torch.Tensor | np.ndarray | str):
        return
    seen.add(id(owner))
    for part in _parts(owner):
        _search(part, found, seen, depth - 1)


def _parts(owner: object) -> list[object]:
    if isinstance(owner, list | tuple | dict):  # other mappings may read a file for a value
        parts = owner.values() if isinstance(owner, dict) else owner
        return list(parts) if len(owner) <= _FEW else []
    if isinstance(owner, partial):
        return [owner.func, owner.args, owner.keywords]
    if isinstance(owner, MethodType):
        return [owner.__self__]
    if isinstance(owner, FunctionType):
        return [cell.cell_contents for cell in owner.__closure__ or () if cell != CellType()]
    return (
        []
        if isinstance(owner, _NOT_ITS_OWN) or _is_trainer(owner)
        else [*attributes_of(owner).values()]
    )


def _is_trainer(owner: object) -> bool:
    """Whether it is Lightning's, which this room does without."""
    kinds = type(owner).__mro__
    return any(kind.__name__ == "Trainer" and "lightning" in kind.__module__ for kind in kinds)


def attributes_of(owner: object) -> dict[str, Any]:
    """List what an object holds by name, in its dictionary and in slots.

    Example:
        >>> from types import SimpleNamespace
        >>> attributes_of(SimpleNamespace(mean_=1))
        {'mean_': 1}
    """
    slots = {
        name: getattr(owner, name)
        for kind in type(owner).__mro__
        if "__slots__" in vars(kind)
        for name, member in vars(kind).items()
        if isinstance(member, MemberDescriptorType) and hasattr(owner, name)
    }
    return {**getattr(owner, "__dict__", {}), **slots}


def _as_plain(state: Any) -> Any:
    if isinstance(state, Mapping):
        return {key: _as_plain(value) for key, value in state.items()}
    if isinstance(state, np.ndarray):
        return {"array": state.tolist(), "dtype": state.dtype.name}
    return state


def _as_arrays(state: Any) -> Any:
    if isinstance(state, Mapping):
        if state.keys() == {"array", "dtype"}:
            return np.array(state["array"], state["dtype"])
        return {key: _as_arrays(value) for key, value in state.items()}
    return state


def _as_tuples(state: Any) -> Any:
    return tuple(_as_tuples(part) for part in state) if isinstance(state, list | tuple) else state

"""Look at a model with data, and leave both as if nobody had."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import is_lazy

from leyden.generators import (
    find_generators,
    generator_states,
    global_state,
    restore_generators,
    restore_global_state,
)

__all__ = ["undisturbed", "untouched"]

_Undo: TypeAlias = Callable[[], Any]


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Put a model back, and the random generators, whatever happens in between.

    Put back are modes of training and evaluation, buffers, gradients, and all attributes of all
    parts, which is where metrics and recurrent parts have their state: tensors with their values,
    lists, dictionaries and sets with their members, everything else as it is. Generators are those
    of Python, NumPy, torch and the model's CUDA devices, and those that parts hold. Parameters are
    not copied: what changes them is not undone. Neither is that a lazy part becomes what it stands
    for.

    Args:
        model: The model.

    Example:
        >>> model = nn.BatchNorm1d(2)
        >>> with untouched(model):
        ...     _ = model(torch.ones(3, 2)), model.eval()
        >>> model.training, int(model.num_batches_tracked)
        (True, 0)
    """
    parts = list(model.modules())
    devices = {parameter.device for parameter in model.parameters() if parameter.is_cuda}
    undo = [*_keep_generators(parts, devices)]
    undo += [partial(setattr, one, "grad", one.grad) for one in model.parameters()]
    undo += [_keep_values(one) for one in model.buffers() if _is_writable(one)]
    for part in parts:
        values = [value for value in vars(part).values() if isinstance(value, Tensor)]
        undo += [_keep_values(value) for value in values if _is_writable(value)]
        if isinstance(part, LazyModuleMixin):
            undo.append(partial(setattr, part, "training", part.training))
        else:
            undo += _keep_attributes(part)
    with _undoing(undo):
        yield


@contextmanager
def undisturbed(loader: Any) -> Iterator[None]:
    """Put a loader back, and the random generators, whatever happens in between.

    Put back are attributes of the loader, its samplers and its dataset, such as a place in the
    data, and the generators that these hold. A torch loader with persistent workers has only one
    pass at a time: one that is under way elsewhere ends.

    Args:
        loader: Anything to iterate over.
    """
    sampler, batch_sampler = (
        getattr(loader, "sampler", None),
        getattr(loader, "batch_sampler", None),
    )
    inner = getattr(batch_sampler, "sampler", None)
    parts = [loader, sampler, batch_sampler, inner, getattr(loader, "dataset", None)]
    parts = list({id(part): part for part in parts if hasattr(part, "__dict__")}.values())
    undo = [*_keep_generators(parts, set())]
    for part in parts:
        undo += _keep_attributes(part)
    with _undoing(undo):
        yield


@contextmanager
def _undoing(undo: list[_Undo]) -> Iterator[None]:
    try:
        yield
    finally:
        with torch.no_grad():
            for put_back in reversed(undo):
                put_back()


def _keep_generators(owners: list[Any], devices: set[torch.device]) -> Iterator[_Undo]:
    yield partial(restore_global_state, global_state(devices=False))
    for device in devices:
        yield partial(torch.cuda.set_rng_state, torch.cuda.get_rng_state(device), device)
    held = list({id(one): one for owner in owners for one in find_generators(owner)}.values())
    yield partial(restore_generators, held, generator_states(held))


def _keep_attributes(part: Any) -> Iterator[_Undo]:
    attributes = vars(part)
    for value in attributes.values():
        if isinstance(value, dict):
            yield partial(_refill, value, dict(value))
        elif isinstance(value, list):
            yield partial(value.__setitem__, slice(None), list(value))
        elif isinstance(value, set):
            yield partial(_refill_set, value, set(value))
    yield partial(_refill, attributes, dict(attributes))


def _is_writable(tensor: Tensor) -> bool:
    """Say whether values can be put into a tensor again; else nobody else could have, either."""
    if is_lazy(tensor):
        return False
    repeats = any(
        size > 1 and step == 0 for size, step in zip(tensor.shape, tensor.stride(), strict=True)
    )
    return tensor.layout == torch.strided and not tensor.is_inference() and not repeats


def _keep_values(tensor: Tensor) -> _Undo:
    return partial(tensor.copy_, tensor.detach().clone())


def _refill(target: dict[Any, Any], content: dict[Any, Any]) -> None:
    """Put back the members of a dictionary, which is left alone if they are the same."""
    same = len(target) == len(content) and all(
        name in target and target[name] is value for name, value in content.items()
    )
    if not same:
        target.clear()
        target.update(content)


def _refill_set(target: set[Any], content: set[Any]) -> None:
    target.clear()
    target.update(content)

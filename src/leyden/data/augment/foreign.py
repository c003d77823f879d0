"""Augmentors of others, which draw from generators that all share."""

import inspect
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from leyden._extras import require
from leyden.data.augment.draws import Draws
from leyden.errors import ConfigError, DataError, suggest

__all__ = ["FromKornia", "augment_each", "check_alone", "find_in_kornia", "path_in_kornia"]

_MIXING = "MixAugmentationBaseV2"  # what Kornia's that mix samples derive from, and its puzzle
_PUZZLE = "RandomJigsaw"
_WHITE = 255


class FromKornia(nn.Module):
    """Lets Kornia, which works on floats in [0, 1], have whole numbers from 0 to 255 as well."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.is_floating_point():
            result: Tensor = self.module(inputs)
            return result
        if len(inputs) and not 0 <= int(inputs.min()) <= int(inputs.max()) <= _WHITE:
            found = f"from {int(inputs.min())} to {int(inputs.max())}"
            problem = f"Expected whole numbers from 0 to {_WHITE} for Kornia's, but got {found}."
            raise DataError(f"{problem} Keep them as float32 from 0 to 1 on disk.")
        changed: Tensor = self.module(inputs.float() / _WHITE)
        return (changed * _WHITE).round().clamp(0, _WHITE).to(inputs.dtype)


def path_in_kornia(path: str) -> str:
    """Give the whole path of what may be written shortly; any other path as it is.

    Args:
        path: ``"kornia.<class>"`` for one of ``kornia.augmentation``, or a whole path.

    Example:
        >>> path_in_kornia("kornia.RandomHorizontalFlip")
        'kornia.augmentation.RandomHorizontalFlip'
    """
    module, _, name = path.rpartition(".")
    return f"kornia.augmentation.{name}" if module == "kornia" else path


def find_in_kornia(path: str) -> Callable[..., Any]:
    """Find one of Kornia's classes, made to be applied always unless its ``p`` is given.

    Args:
        path: See ``path_in_kornia``.

    Raises:
        ConfigError: If there is no such class.
        MissingExtraError: If Kornia is not installed.
    """
    module, _, name = path_in_kornia(path).rpartition(".")
    room = require(module, extra="kornia", needed_for=path)
    factory: Callable[..., Any] | None = getattr(room, name, None)
    if factory is None:
        problem = f"Expected `augmentors` to be one of Kornia's, but got {path!r}."
        raise ConfigError(f"{problem} {suggest(name, getattr(room, '__all__', dir(room)))}")
    always = "p" in inspect.signature(factory).parameters  # the probability is decided here
    return partial(factory, p=1.0) if always else factory


def check_alone(module: nn.Module) -> None:
    """Refuse what mixes the samples of a batch: alone, a sample could only be mixed with itself.

    Args:
        module: The augmentor.

    Raises:
        ConfigError: If it is one of Kornia's that mix, or has one as a part.
    """
    for part in module.modules():
        names = [base.__name__ for base in type(part).__mro__]
        if _MIXING in names and _PUZZLE not in names:
            problem = "Expected `augmentors` to change each row by itself"
            remedy = "Call it in the model, on the batch that a training step is given."
            raise ConfigError(f"{problem}, but got {names[0]!r}, which mixes several. {remedy}")


def augment_each(module: nn.Module, inputs: Tensor, draws: Draws) -> Tensor:
    """Call a module that draws from generators that all share, with one sample at a time."""
    with _generators_kept(inputs.device):
        changed = []
        for sample, key in zip(inputs, draws.keys.tolist(), strict=True):
            _seed(key, inputs.device)
            changed.append(module(sample[None]))
    return torch.cat(changed)


def _seed(key: int, device: torch.device) -> None:
    random.seed(key)
    np.random.seed(key % 2**32)  # noqa: NPY002 - the generator that others draw from
    for generator in _torch_generators(device):
        generator.manual_seed(key >> 1)  # of 63 bits


@contextmanager
def _generators_kept(device: torch.device) -> Iterator[None]:
    """Leave the generators of Python, NumPy and torch as they are found."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - likewise
    states = [generator.get_state() for generator in _torch_generators(device)]
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002 - likewise
        for generator, state in zip(_torch_generators(device), states, strict=True):
            generator.set_state(state)


def _torch_generators(device: torch.device) -> list[torch.Generator]:
    """List what draws for a device; ``torch.manual_seed`` would seed those of all devices."""
    generators = [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index])
    return generators

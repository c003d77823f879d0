"""Augmentation that a sample gets whatever batch it is in, and gets again when replayed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from leyden.data.augment.affine import RotateRange, Shear, Zoom, ZoomRandom
from leyden.data.augment.base import Augmentor
from leyden.data.augment.colors import (
    Grayscale,
    HistogramEqualisation,
    Invert,
    RandomBrightness,
    RandomColor,
    RandomContrast,
)
from leyden.data.augment.distortions import Distort, GaussianDistortion, Skew
from leyden.data.augment.draws import Draws
from leyden.data.augment.foreign import FromKornia, augment_each, check_alone, find_in_kornia
from leyden.data.augment.moves import Flip, RandomErasing, Rotate
from leyden.errors import ConfigError, DataError, check_boolean
from leyden.recipes import Recipe, build

__all__ = ["AUGMENTORS", "Augmentation"]

AUGMENTORS: Mapping[str, Callable[..., Augmentor]] = MappingProxyType(
    {
        "distort": Distort,
        "flip": Flip,
        "gaussian_distortion": GaussianDistortion,
        "grayscale": Grayscale,
        "histogram_equalisation": HistogramEqualisation,
        "invert": Invert,
        "random_brightness": RandomBrightness,
        "random_color": RandomColor,
        "random_contrast": RandomContrast,
        "random_erasing": RandomErasing,
        "rotate": Rotate,
        "rotate_range": RotateRange,
        "shear": Shear,
        "skew": Skew,
        "zoom": Zoom,
        "zoom_random": ZoomRandom,
    }
)
"""What makes the augmentor of each short name."""

_WIDER = {torch.uint16: torch.int32, torch.uint32: torch.int64}  # with which torch computes


class Augmentation:
    """A chain of augmentors, each applied to some of the samples.

    Which samples, and what becomes of them, is a pure function of the seed, the epoch, the set
    number and the row of a sample: it is the same in any batch, order, process and rank. Generators
    that belong to others are left as they were.

    An ``Augmentor`` changes a batch at once. Any other ``nn.Module`` is called with **one sample at
    a time**, as a batch ``(1, ...)``, after the generators of torch, NumPy and Python were seeded
    with the sample's key: exact, but slower by the overhead of a call for each sample. What mixes
    several samples has no place here.

    Augmentors see whole numbers of 16 or 32 bits without a sign, with which torch does not compute,
    as ``int32`` or ``int64``.

    Args:
        augmentors: The augmentors in their order: each an ``Augmentor``, an ``nn.Module``, the
            short name of one in ``AUGMENTORS``, ``kornia.<class>`` for one of Kornia's, an import
            path, or a dictionary ``{"type": name or path, "probability": 0.5, **arguments}``.
        probability: How likely each is applied to a sample, one number for all or one for each;
            that in a dictionary goes first.
        channels_last: Whether images come as ``(rows, height, width, channels)``. Augmentors see
            them with the channels first.

    Raises:
        ConfigError: If an augmentor is not known, or is none, mixes several samples, or another
            argument is out of range.
        MissingExtraError: If Kornia is asked for and not installed.

    Example:
        >>> augment = Augmentation([{"type": "flip", "probability": 0.5}, "invert"])
        >>> images = torch.zeros(4, 1, 8, 8)
        >>> augment(images, seed=0, epoch=0, set_numbers=7, rows=range(4)).mean()
        tensor(1.)
    """

    def __init__(
        self,
        augmentors: Iterable[Augmentor | nn.Module | Recipe],
        *,
        probability: float | Sequence[float] = 1.0,
        channels_last: bool = False,
    ) -> None:
        described = list(augmentors)
        each = probability if isinstance(probability, Sequence) else [probability] * len(described)
        if len(each) != len(described):
            problem = f"Expected one probability for each of {len(described)} augmentors"
            raise ConfigError(f"{problem}, but got {list(each)}.")
        self._augmentors = [_make(one, likely) for one, likely in zip(described, each, strict=True)]
        self._channels_last = check_boolean("channels_last", channels_last)

    def __len__(self) -> int:
        return len(self._augmentors)

    def __call__(
        self, inputs: Tensor, *, seed: int, epoch: int, set_numbers: ArrayLike, rows: ArrayLike
    ) -> Tensor:
        """Augment a batch.

        Args:
            inputs: ``(rows, ...)``, as the shards have it; left as it is.
            seed: A whole number from zero.
            epoch: Likewise.
            set_numbers: The set of each sample, ``(rows,)``, or the one set of all.
            rows: The row of each sample within its set, ``(rows,)``.

        Returns:
            The batch augmented, of the same shape and dtype; the very batch, if nothing was done.

        Raises:
            DataError: If a sample has no row, or the batch does not suit an augmentor, as one of
                ``uint64`` does not suit any.
        """
        draws = Draws.of(seed=seed, epoch=epoch, set_numbers=set_numbers, rows=np.asarray(rows))
        if draws.keys.shape != inputs.shape[:1]:
            problem = f"Expected a row for each of {len(inputs)} samples"
            raise DataError(f"{problem}, but got shape {draws.keys.shape}.")
        if not self._augmentors:
            return inputs
        seen = _widened(inputs)
        seen = seen.movedim(-1, 1).contiguous() if self._channels_last else seen
        result = seen
        with torch.no_grad():
            for index, (augmentor, probability) in enumerate(self._augmentors):
                result = _augment_some(augmentor, probability, result, draws.stream(index))
        if result is seen:
            return inputs
        result = result.movedim(1, -1).contiguous() if self._channels_last else result
        return _narrowed(result, inputs.dtype)


def _widened(inputs: Tensor) -> Tensor:
    if inputs.dtype == torch.uint64:
        problem = "Expected inputs of a type that torch computes with, for augmentors"
        raise DataError(f"{problem}, but got {inputs.dtype}. Keep them as int64 on disk.")
    return inputs.to(_WIDER.get(inputs.dtype, inputs.dtype))


def _narrowed(result: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn numbers back into what they were; those beyond, as by rounding, are cut off."""
    if result.dtype == dtype:
        return result
    most = torch.iinfo(dtype).max
    return result.clamp(0, most).to(dtype)


def _make(described: Any, probability: Any) -> tuple[Augmentor | nn.Module, float]:
    made = described
    if isinstance(described, str | Mapping | type):
        recipe = dict(described) if isinstance(described, Mapping) else described
        if isinstance(recipe, dict):
            probability = recipe.pop("probability", probability)
        made = _build(recipe)
    elif isinstance(described, partial):
        made = _build(described)
    elif not isinstance(described, Augmentor | nn.Module) and callable(described):
        made = _called(described)
    if not isinstance(made, Augmentor | nn.Module):
        raise _no_augmentor(made)
    if isinstance(made, nn.Module):
        check_alone(made)
    if not (isinstance(probability, int | float) and 0 <= probability <= 1):
        raise ConfigError(f"Expected `probability` to be from 0 to 1, but got {probability!r}.")
    return made, probability


def _called(factory: Callable[..., Any]) -> Any:
    """Have a function make an augmentor, unless it looks like one itself."""
    try:
        return _build(factory)
    except ConfigError as error:
        if not isinstance(error.__cause__, TypeError):
            raise
        raise _no_augmentor(factory) from error


def _no_augmentor(given: object) -> ConfigError:
    problem = f"Expected augmentors to be an Augmentor or an nn.Module each, but got {given!r}."
    remedy = " Wrap a function in an nn.Module." if callable(given) else ""
    return ConfigError(f"{problem}{remedy}")


def _build(recipe: Recipe) -> Any:
    name = recipe.get("type") if isinstance(recipe, Mapping) else recipe
    if isinstance(name, str) and name.startswith("kornia."):
        made = build(recipe, {name: find_in_kornia(name)}, what="augmentors")
        return FromKornia(made) if isinstance(made, nn.Module) else made
    return build(recipe, AUGMENTORS, what="augmentors")


def _augment_some(
    augmentor: Augmentor | nn.Module, probability: float, inputs: Tensor, draws: Draws
) -> Tensor:
    chosen = np.flatnonzero(draws.stream(0).uniform() < probability)
    if not len(chosen):
        return inputs
    index = torch.from_numpy(chosen).to(inputs.device)
    every = len(chosen) == len(inputs)
    some, draws = (inputs if every else inputs[index]), draws.stream(1)[chosen]
    if isinstance(augmentor, Augmentor):
        changed = augmentor.augment(some, draws)
    else:
        changed = augment_each(augmentor, some, draws)
    if (changed.shape, changed.dtype) != (some.shape, some.dtype):
        problem = f"Expected {type(augmentor).__name__} to keep {some.dtype} {tuple(some.shape)}"
        raise DataError(f"{problem}, but got {changed.dtype} {tuple(changed.shape)}.")
    if every:
        return changed
    result = inputs.clone()
    result[index] = changed
    return result

"""Augmentors that change the values of images."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from leyden.data.augment.base import Augmentor, as_given, check_range, each
from leyden.data.augment.draws import Draws
from leyden.data.images import LUMA, check_images
from leyden.errors import ConfigError, DataError, check_number

__all__ = [
    "Grayscale",
    "HistogramEqualisation",
    "Invert",
    "RandomBrightness",
    "RandomColor",
    "RandomContrast",
    "check_white",
    "white_of",
]

_LEVELS = 256
_TOLERANCE = 1e-3  # beyond white and black, from rounding


@dataclass(frozen=True, slots=True)
class Invert(Augmentor):
    """Turns light into dark.

    Args:
        max_value: What is white; ``None`` for 255 in whole numbers, and 1 in others.

    Raises:
        ConfigError: If ``max_value`` is no number above zero.
    """

    max_value: float | None = None

    def __post_init__(self) -> None:
        check_white(self.max_value)

    @override
    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        white = white_of(images, self.max_value, "invert")
        if images.dtype == torch.bool:
            return images.logical_not()
        return white - images if images.is_floating_point() else int(white) - images


@dataclass(frozen=True, slots=True)
class Grayscale(Augmentor):
    """Takes the colour out; images keep their three channels, and those of one stay the same."""

    @override
    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        check_images(images.shape, "grayscale", channels=(1, 3))
        return as_given(_gray(images).expand(images.shape).contiguous(), images)


@dataclass(frozen=True, slots=True)
class _Blend(Augmentor):
    """Moves images away from a flat version of themselves, or towards it.

    Args:
        min_factor: The least factor; 0 is the flat version, 1 the image.
        max_factor: The greatest factor.
        max_value: What is white; ``None`` for 255 in whole numbers, and 1 in others. Results are
            cut off there, and at zero.

    Raises:
        ConfigError: If factors are below zero or out of order, or ``max_value`` is no number above
            zero.
    """

    min_factor: float
    max_factor: float
    max_value: float | None = None

    def __post_init__(self) -> None:
        check_range("min_factor", self.min_factor, "max_factor", self.max_factor)
        check_white(self.max_value)

    @abstractmethod
    def _flat(self, images: Tensor) -> Tensor:
        """Make the version at factor 0, in floats that broadcast against the images."""

    @override
    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        check_images(images.shape, type(self).__name__, channels=(1, 3))
        white = white_of(images, self.max_value, type(self).__name__)
        factors = each(draws.uniform(low=self.min_factor, high=self.max_factor), images)
        flat = self._flat(images)
        pixels = images.float() if images.dtype == torch.bool else images
        blended = flat + (pixels - flat) * factors.float()
        return as_given(blended.clamp_(0, white), images)


@dataclass(frozen=True, slots=True)
class RandomBrightness(_Blend):
    """Makes images lighter or darker: at factor 0 they are black.

    Args:
        min_factor: The least factor.
        max_factor: The greatest; 1 leaves the image.
        max_value: What is white; ``None`` for 255 in whole numbers, and 1 in others.
    """

    @override
    def _flat(self, images: Tensor) -> Tensor:
        return images.new_zeros((1,), dtype=torch.float32)


@dataclass(frozen=True, slots=True)
class RandomColor(_Blend):
    """Makes colours stronger or weaker: at factor 0 there are none.

    Args:
        min_factor: The least factor.
        max_factor: The greatest; 1 leaves the image.
        max_value: What is white; ``None`` for 255 in whole numbers, and 1 in others.
    """

    @override
    def _flat(self, images: Tensor) -> Tensor:
        return _gray(images)


@dataclass(frozen=True, slots=True)
class RandomContrast(_Blend):
    """Makes contrasts stronger or weaker: at factor 0 an image is its mean brightness.

    Args:
        min_factor: The least factor.
        max_factor: The greatest; 1 leaves the image.
        max_value: What is white; ``None`` for 255 in whole numbers, and 1 in others.
    """

    @override
    def _flat(self, images: Tensor) -> Tensor:
        gray = _gray(images)  # summed in NumPy, of which the order does not depend on the batch
        means = gray.cpu().numpy().reshape(len(gray), -1).astype(np.float64).mean(axis=1)
        return each(means, images).float()


@dataclass(frozen=True, slots=True)
class HistogramEqualisation(Augmentor):
    """Spreads the 256 levels of each channel evenly, as Pillow does.

    Args:
        max_value: What is white; ``None`` for 255 in whole numbers, and 1 in others.

    Raises:
        ConfigError: If ``max_value`` is no number above zero.
    """

    max_value: float | None = None

    def __post_init__(self) -> None:
        check_white(self.max_value)

    @override
    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        check_images(images.shape, "histogram_equalisation")
        white = white_of(images, self.max_value, "histogram_equalisation")
        scale = (_LEVELS - 1) / white
        levels = (images.float() * scale).round().long().clamp_(0, _LEVELS - 1).flatten(2)
        counts = torch.zeros((*levels.shape[:2], _LEVELS), dtype=torch.long, device=images.device)
        counts.scatter_add_(2, levels, torch.ones_like(levels))
        last = counts.gather(2, levels.amax(2, keepdim=True))
        step = (levels.shape[2] - last) // (_LEVELS - 1)
        below = counts.cumsum(2) - counts
        table = (step // 2 + below) // step.clamp(min=1)
        equal = table.clamp(max=_LEVELS - 1).gather(2, levels)
        spread = torch.where(step > 0, equal, levels).view(images.shape)
        return as_given(spread / scale, images)


def check_white(max_value: float | None) -> None:
    """Refuse a white that there is not.

    Args:
        max_value: What the user says is white; ``None`` to go by the images.

    Raises:
        ConfigError: If it is no number above zero.
    """
    if max_value is not None:
        check_number("max_value", max_value, 0)
        if not max_value:
            raise ConfigError(f"Expected `max_value` to be above zero, but got {max_value!r}.")


def white_of(images: Tensor, max_value: float | None, what: str) -> float:
    """Find out what is white.

    Args:
        images: Of any shape.
        max_value: What the user says; ``None`` for 255 in whole numbers, and 1 in others.
        what: Who asks, for the error.

    Raises:
        DataError: If a pixel is lighter than white, or darker than black.
    """
    whole = not images.is_floating_point() and images.dtype != torch.bool
    white = (255 if whole else 1) if max_value is None else max_value
    least, most = (float(edge) for edge in images.aminmax())
    slack = white * _TOLERANCE
    if not -slack <= least <= most <= white + slack:
        problem = f"Expected the images of {what} to be within 0 and {white}"
        remedy = f"Pass `max_value`, such as `max_value={most:g}`." if least >= 0 else ""
        raise DataError(f"{problem}, but got {least:g} to {most:g}. {remedy}".rstrip())
    return float(white)


def _gray(images: Tensor) -> Tensor:
    """Make one channel of floats."""
    pixels = images.float()
    if images.shape[1] == 1:
        return pixels
    weighted = [pixels[:, [channel]] * weight for channel, weight in enumerate(LUMA)]
    return weighted[0] + weighted[1] + weighted[2]

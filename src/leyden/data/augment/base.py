"""What an augmentor is."""

from abc import ABC, abstractmethod
from math import inf
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from leyden.data.augment.draws import Draws
from leyden.errors import ConfigError, check_number, suggest
from leyden.types import Array

__all__ = ["Augmentor", "as_given", "check_choice", "check_range", "each"]


class Augmentor(ABC):
    """Changes images at random, each by numbers of its own.

    What becomes of an image must depend on it and on its draws alone, not on the others.
    """

    @abstractmethod
    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        """Change images.

        Args:
            images: ``(samples, channels, height, width)``; left as they are.
            draws: The random numbers of each.

        Returns:
            Changed images, of the same shape and dtype.
        """


def check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a choice that there is not.

    Raises:
        ConfigError: If ``value`` is not known.
    """
    if value not in known:
        problem = f"Expected `{name}` to be a known choice, but got {value!r}."
        raise ConfigError(f"{problem} {suggest(str(value), known)}")


def check_range(low_name: str, low: Any, high_name: str, high: Any) -> None:
    """Refuse a range that is below zero or upside down.

    Raises:
        ConfigError: If not ``0 <= low <= high``, both finite numbers.
    """
    check_number(high_name, high, -inf)
    if isinstance(low, bool) or not isinstance(low, Real) or not 0 <= float(low) <= high:
        problem = f"Expected `{low_name}` to be from 0 to `{high_name}`"
        raise ConfigError(f"{problem}, but got {low!r} and {high!r}.")


def each(values: Array, images: Tensor) -> Tensor:
    """Make values, one for each image, broadcast against the images."""
    return torch.from_numpy(values).to(images.device)[:, None, None, None]


def as_given(pixels: Tensor, images: Tensor) -> Tensor:
    """Turn pixels into the dtype that the images had."""
    return (pixels if images.is_floating_point() else pixels.round()).to(images.dtype)

"""Augmentors that move images as a whole: turned, sheared, scaled.

What would come from outside of an image repeats its border.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from leyden.data.augment.base import Augmentor, check_range
from leyden.data.augment.draws import Draws
from leyden.data.augment.sampling import pixel_places, sample
from leyden.data.images import check_images
from leyden.errors import ConfigError, check_boolean, check_number
from leyden.types import Array

__all__ = ["RotateRange", "Shear", "Zoom", "ZoomRandom"]

_LEAST_AREA = 0.1


@dataclass(frozen=True, slots=True)
class _Affine(Augmentor):
    """Moves, scales, turns or shears about the centre."""

    @abstractmethod
    def _matrices(self, draws: Draws, height: int, width: int) -> Array:
        """Say where pixels come from, in pixels from the centre, ``(samples, 2, 3)``."""

    @override
    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        check_images(images.shape, type(self).__name__)
        height, width = images.shape[-2:]
        matrices = self._matrices(draws, height, width).astype(np.float32)
        row_x, row_y = torch.from_numpy(matrices).to(images.device)[..., None, None].unbind(1)
        x, y = pixel_places(images)
        middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
        x, y = x - middle_x, y - middle_y
        from_x, from_y = (row[:, 0] * x + row[:, 1] * y + row[:, 2] for row in (row_x, row_y))
        return sample(images, from_x + middle_x, from_y + middle_y)


@dataclass(frozen=True, slots=True)
class RotateRange(_Affine):
    """Rotates images by any angle in a range.

    Args:
        max_left_rotation: Degrees against the clock at most.
        max_right_rotation: Degrees with the clock at most.

    Raises:
        ConfigError: If an angle is not from 0 to 180.
    """

    max_left_rotation: float
    max_right_rotation: float

    def __post_init__(self) -> None:
        for name in ("max_left_rotation", "max_right_rotation"):
            _check_angle(name, getattr(self, name), 180)

    @override
    def _matrices(self, draws: Draws, height: int, width: int) -> Array:
        angles = draws.uniform(low=-self.max_left_rotation, high=self.max_right_rotation)
        cos, sin = (_angle_wise(function, angles) for function in (math.cos, math.sin))
        return _matrices((cos, sin, 0), (-sin, cos, 0), len(draws))


@dataclass(frozen=True, slots=True)
class Shear(_Affine):
    """Shears images along one of their axes, either as likely.

    Args:
        max_shear_left: Degrees to the left (or up) at most.
        max_shear_right: Degrees to the right (or down) at most.

    Raises:
        ConfigError: If an angle is not from 0 to 85.
    """

    max_shear_left: float
    max_shear_right: float

    def __post_init__(self) -> None:
        for name in ("max_shear_left", "max_shear_right"):
            _check_angle(name, getattr(self, name), 85)

    @override
    def _matrices(self, draws: Draws, height: int, width: int) -> Array:
        angles = draws.stream(0).uniform(low=-self.max_shear_left, high=self.max_shear_right)
        slopes = _angle_wise(math.tan, angles)
        along_x = draws.stream(1).choose(2) == 0
        in_x, in_y = np.where(along_x, slopes, 0), np.where(along_x, 0, slopes)
        return _matrices((1, in_x, 0), (in_y, 1, 0), len(draws))


@dataclass(frozen=True, slots=True)
class Zoom(_Affine):
    """Zooms into the centre of images.

    Args:
        min_factor: The least factor; below 1 it zooms out.
        max_factor: The greatest factor.

    Raises:
        ConfigError: If the factors are zero or out of order.
    """

    min_factor: float
    max_factor: float

    def __post_init__(self) -> None:
        check_range("min_factor", self.min_factor, "max_factor", self.max_factor)
        if not self.min_factor:
            raise ConfigError(f"Expected `min_factor` to be above 0, but got {self.min_factor!r}.")

    @override
    def _matrices(self, draws: Draws, height: int, width: int) -> Array:
        scale = 1 / draws.uniform(low=self.min_factor, high=self.max_factor)
        return _matrices((scale, 0, 0), (0, scale, 0), len(draws))


@dataclass(frozen=True, slots=True)
class ZoomRandom(_Affine):
    """Zooms into a part of images, anywhere.

    Args:
        percentage_area: How much of the area that part has, from 0 to 1.
        randomise: Whether it is any from a tenth of the area to that.

    Raises:
        ConfigError: If the area is not from 0.1 to 1.
    """

    percentage_area: float
    randomise: bool = False

    def __post_init__(self) -> None:
        check_number("percentage_area", self.percentage_area, -math.inf)
        check_boolean("randomise", self.randomise)
        if not _LEAST_AREA <= self.percentage_area <= 1:
            problem = f"Expected `percentage_area` to be from {_LEAST_AREA} to 1"
            raise ConfigError(f"{problem}, but got {self.percentage_area!r}.")

    @override
    def _matrices(self, draws: Draws, height: int, width: int) -> Array:
        least = _LEAST_AREA if self.randomise else self.percentage_area
        side = np.sqrt(draws.stream(0).uniform(low=least, high=self.percentage_area))
        across, down = ((draws.stream(1).uniform(2) - 0.5) * (1 - side)[:, None]).T
        return _matrices((side, 0, across * width), (0, side, down * height), len(draws))


def _check_angle(name: str, angle: float, most: float) -> None:
    check_number(name, angle, -math.inf)
    if not 0 <= angle <= most:
        raise ConfigError(f"Expected `{name}` to be from 0 to {most} degrees, but got {angle!r}.")


def _angle_wise(function: Callable[[float], float], degrees: Array) -> Array:
    """Apply a function one by one: in a vector, a last digit may depend on the neighbours."""
    return np.array([function(math.radians(angle)) for angle in degrees.tolist()])


def _matrices(x: tuple[Array | float, ...], y: tuple[Array | float, ...], samples: int) -> Array:
    matrices = np.empty((samples, 2, 3))
    for row, entries in enumerate((x, y)):
        for column, entry in enumerate(entries):
            matrices[:, row, column] = entry
    return matrices

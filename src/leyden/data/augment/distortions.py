"""Augmentors that distort images: seen from a side, or pulled at.

What would come from outside of an image repeats its border.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from typing_extensions import override

from leyden.data.augment.base import Augmentor, check_choice
from leyden.data.augment.draws import Draws
from leyden.data.augment.sampling import pixel_places, sample
from leyden.data.images import check_images
from leyden.errors import ConfigError, check_number
from leyden.types import Array

__all__ = ["Distort", "GaussianDistortion", "Skew"]

# Corners in the order top left, top right, bottom right, bottom left; each as (x, y) in [0, 1].
_CORNERS = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], float)
_INWARD = 1 - 2 * _CORNERS
_TILTS = {(0, 3): 1, (1, 2): 1, (0, 1): 0, (2, 3): 0}  # the corners of an edge: along which axis
_SKEWS = {
    "TILT": range(4),
    "TILT_LEFT_RIGHT": range(2),
    "TILT_TOP_BOTTOM": range(2, 4),
    "CORNER": range(4, 12),
    "RANDOM": range(12),
}
_HALVES = {"bell": (0, 1, 0, 1), "ul": (0.5, 1, 0.5, 1), "ur": (0, 0.5, 0.5, 1)} | {
    "dl": (0.5, 1, 0, 0.5),
    "dr": (0, 0.5, 0, 0.5),
}


@dataclass(frozen=True, slots=True)
class Skew(Augmentor):
    """Shows images as if looked at from a side.

    Args:
        skew_type: ``"TILT_LEFT_RIGHT"``, ``"TILT_TOP_BOTTOM"``, ``"TILT"`` for any of the four
            edges, ``"CORNER"`` for one corner, or ``"RANDOM"`` for any of these.
        magnitude: How much of an edge of the image gets out of sight at most, from 0 and below 1.

    Raises:
        ConfigError: If an argument is out of range.
    """

    skew_type: str = "RANDOM"
    magnitude: float = 0.5

    def __post_init__(self) -> None:
        check_choice("skew_type", self.skew_type, tuple(_SKEWS))
        check_number("magnitude", self.magnitude, -math.inf)
        if not 0 <= self.magnitude < 1:
            problem = "Expected `magnitude` to be from 0 and below 1"
            raise ConfigError(f"{problem}, but got {self.magnitude!r}.")

    @override
    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        check_images(images.shape, "skew")
        shifts = draws.stream(0).uniform(high=self.magnitude)
        kinds = np.array(_SKEWS[self.skew_type])
        moves = _moves()[kinds[draws.stream(1).choose(len(kinds))]]
        seen = _square_to_corners(_CORNERS + moves * shifts[:, None, None])
        forms = torch.from_numpy(seen.astype(np.float32)).to(images.device)[..., None, None]
        height, width = images.shape[-2:]
        x, y = pixel_places(images)
        x, y = (x + 0.5) / width, (y + 0.5) / height
        right, down, depth = (
            form[:, 0] * x + form[:, 1] * y + form[:, 2] for form in forms.unbind(1)
        )
        return sample(images, right / depth * width - 0.5, down / depth * height - 0.5)


@dataclass(frozen=True, slots=True)
class Distort(Augmentor):
    """Pulls at images as if they were of rubber, and held at the border.

    Args:
        grid_width: Tiles from left to right; where tiles meet, there is a pull.
        grid_height: Tiles from top to bottom.
        magnitude: Pixels of a pull at most, to each side.

    Raises:
        ConfigError: If there are no tiles that meet, or ``magnitude`` is below zero.
    """

    grid_width: int
    grid_height: int
    magnitude: float

    def __post_init__(self) -> None:
        for name in ("grid_width", "grid_height"):
            size = getattr(self, name)
            if type(size) is not int or size < 2:
                raise ConfigError(f"Expected `{name}` to be a whole number from 2, got {size!r}.")
        check_number("magnitude", self.magnitude, -math.inf)
        if not self.magnitude >= 0:
            problem = "Expected `magnitude` to be 0 or above"
            raise ConfigError(f"{problem}, but got {self.magnitude!r}.")

    @override
    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        check_images(images.shape, "distort")
        inner = (2, self.grid_height - 1, self.grid_width - 1)
        pulls = draws.uniform(math.prod(inner), low=-self.magnitude, high=self.magnitude)
        pulls = pulls.reshape(len(draws), *inner) * self._surface()[1:-1, 1:-1]
        held = np.pad(pulls, ((0, 0), (0, 0), (1, 1), (1, 1))).astype(np.float32)
        size = (images.shape[-2], images.shape[-1])
        moved = interpolate(torch.from_numpy(held), size, mode="bilinear", align_corners=True)
        right, down = moved.to(images.device).unbind(1)
        x, y = pixel_places(images)
        return sample(images, x + right, y + down)

    def _surface(self) -> Array:
        """Say how strong the pulls are, ``(grid_height + 1, grid_width + 1)``, in [0, 1]."""
        return np.ones((self.grid_height + 1, self.grid_width + 1))


@dataclass(frozen=True, slots=True)
class GaussianDistortion(Distort):
    """Pulls at images as if they were of rubber, more in one region than elsewhere.

    Args:
        grid_width: Tiles from left to right; where tiles meet, there is a pull.
        grid_height: Tiles from top to bottom.
        magnitude: Pixels of a pull at most, to each side.
        corner: Where the region is: ``"bell"`` in the middle, ``"ul"``, ``"ur"``, ``"dl"`` or
            ``"dr"`` at the upper or lower, left or right corner.
        method: ``"in"`` to pull in that region, ``"out"`` to pull elsewhere.
        mex: Centre of the region from left (0) to right (1), before it is put at a corner.
        mey: Centre of the region from top (0) to bottom (1).
        sdx: Extent of the region along the width, as twice a variance.
        sdy: Extent of the region along the height.

    Raises:
        ConfigError: If an argument is out of range.
    """

    corner: Literal["bell", "ul", "ur", "dl", "dr"] = "bell"
    method: Literal["in", "out"] = "in"
    mex: float = 0.5
    mey: float = 0.5
    sdx: float = 0.05
    sdy: float = 0.05

    @override
    def __post_init__(self) -> None:
        Distort.__post_init__(self)
        check_choice("corner", self.corner, tuple(_HALVES))
        check_choice("method", self.method, ("in", "out"))
        for name in ("mex", "mey", "sdx", "sdy"):
            check_number(name, getattr(self, name), -math.inf)
        if not min(self.sdx, self.sdy) > 0:
            problem = "Expected `sdx` and `sdy` to be above 0"
            raise ConfigError(f"{problem}, but got {self.sdx!r} and {self.sdy!r}.")

    @override
    def _surface(self) -> Array:
        left, right, top, bottom = _HALVES[self.corner]
        x = np.linspace(left, right, self.grid_width + 1)
        y = np.linspace(top, bottom, self.grid_height + 1)[:, None]
        region: Array = np.exp(-((x - self.mex) ** 2 / self.sdx + (y - self.mey) ** 2 / self.sdy))
        return region if self.method == "in" else 1 - region


def _moves() -> Array:
    """List how corners move inwards: of each edge both by half, then each alone along an axis."""
    moves = np.zeros((12, 4, 2))
    for index, (corners, axis) in enumerate(_TILTS.items()):
        moves[index, corners, axis] = _INWARD[corners, axis] / 2
    for index in range(8):
        corner, axis = divmod(index, 2)
        moves[4 + index, corner, axis] = _INWARD[corner, axis]
    return moves


def _square_to_corners(corners: Array) -> Array:
    """Find the projections that take the unit square to four corners (Heckbert, 1989).

    Args:
        corners: ``(samples, 4, 2)``.

    Returns:
        Matrices ``(samples, 3, 3)``.
    """
    first, second, third, fourth = corners.transpose(1, 2, 0)  # each (2, samples)
    total = first - second + third - fourth
    one, other = second - third, fourth - third
    area = one[0] * other[1] - other[0] * one[1]
    slant = (total[0] * other[1] - other[0] * total[1]) / area
    slope = (one[0] * total[1] - total[0] * one[1]) / area
    columns = (second - first + slant * second, fourth - first + slope * fourth, first)
    upper = np.stack(columns, axis=-1)  # (2, samples, 3)
    lower = np.stack([slant, slope, np.ones_like(slant)], axis=-1)
    return np.stack([*upper, lower], axis=1)

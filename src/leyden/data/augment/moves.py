"""Augmentors that mirror, turn and erase."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from leyden.data.augment.base import Augmentor, as_given, check_choice, each
from leyden.data.augment.colors import check_white, white_of
from leyden.data.augment.draws import Draws
from leyden.data.images import check_images
from leyden.errors import ConfigError, DataError, check_number
from leyden.types import Array

__all__ = ["Flip", "RandomErasing", "Rotate"]

_SIDE = 0.1  # least part of a side that is erased


@dataclass(frozen=True, slots=True)
class Flip(Augmentor):
    """Mirrors images.

    Args:
        top_bottom_left_right: ``"LEFT_RIGHT"``, ``"TOP_BOTTOM"``, or ``"RANDOM"`` for either.

    Raises:
        ConfigError: If it is none of these.
    """

    top_bottom_left_right: Literal["LEFT_RIGHT", "TOP_BOTTOM", "RANDOM"] = "RANDOM"

    def __post_init__(self) -> None:
        known = ("LEFT_RIGHT", "TOP_BOTTOM", "RANDOM")
        check_choice("top_bottom_left_right", self.top_bottom_left_right, known)

    @override
    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        check_images(images.shape, "flip")
        if self.top_bottom_left_right != "RANDOM":
            return images.flip(-1 if self.top_bottom_left_right == "LEFT_RIGHT" else -2)
        left_right = each(draws.choose(2) == 0, images)
        return torch.where(left_right, images.flip(-1), images.flip(-2))


@dataclass(frozen=True, slots=True)
class Rotate(Augmentor):
    """Rotates images by quarter turns, against the clock.

    Args:
        rotation: 90, 180 or 270 degrees, or -1 for any of the three.

    Raises:
        ConfigError: If it is none of these.
    """

    rotation: Literal[90, 180, 270, -1] = -1

    def __post_init__(self) -> None:
        if self.rotation not in (90, 180, 270, -1):
            problem = "Expected `rotation` to be 90, 180, 270 or -1 (any of them)"
            raise ConfigError(f"{problem}, but got {self.rotation!r}.")

    @override
    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        check_images(images.shape, "rotate")
        height, width = images.shape[-2:]
        if height != width and self.rotation != 180:
            problem = f"Expected square images to rotate by {self.rotation}"
            raise DataError(f"{problem}, but got {height} x {width}. Pass `rotation=180`.")
        if self.rotation != -1:
            return images.rot90(int(self.rotation) // 90, (-2, -1))
        turns = draws.choose(3)
        result = torch.empty_like(images)
        for turn in range(3):
            chosen = torch.from_numpy(np.flatnonzero(turns == turn)).to(images.device)
            result[chosen] = images[chosen].rot90(turn + 1, (-2, -1))
        return result


@dataclass(frozen=True, slots=True)
class RandomErasing(Augmentor):
    """Puts a rectangle of noise somewhere.

    Args:
        rectangle_area: How much of a side of the image a side of the rectangle takes at most; the
            least is a tenth.
        max_value: What is white; ``None`` for 255 in whole numbers, and 1 in others.

    Raises:
        ConfigError: If ``rectangle_area`` is not from 0.1 to 1, or ``max_value`` no number above
            zero.
    """

    rectangle_area: float
    max_value: float | None = None

    def __post_init__(self) -> None:
        check_number("rectangle_area", self.rectangle_area, -math.inf)
        if not _SIDE <= self.rectangle_area <= 1:
            problem = f"Expected `rectangle_area` to be from {_SIDE} to 1"
            raise ConfigError(f"{problem}, but got {self.rectangle_area!r}.")
        check_white(self.max_value)

    @override
    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        check_images(images.shape, "random_erasing")
        white = white_of(images, self.max_value, "random_erasing")
        sizes, places = draws.stream(0).uniform(2), draws.stream(1).uniform(2)
        inside = [
            self._inside(size, sizes[:, axis], places[:, axis])
            for axis, size in enumerate(images.shape[-2:])
        ]
        erased = torch.from_numpy(inside[0][:, None, :, None] & inside[1][:, None, None, :])
        words = draws.stream(2).words(images[0].numel()) >> np.uint64(40)  # 24 bits: exact floats
        noise = torch.from_numpy(words.astype(np.float32)).to(images.device)
        noise = as_given((noise * (white / 2**24)).view(images.shape), images)
        return torch.where(erased.to(images.device), noise, images)

    def _inside(self, size: int, extents: Array, places: Array) -> Array:
        """Say for each sample which pixels along an axis are erased, ``(samples, size)``."""
        least = max(1, int(size * _SIDE))
        most = max(least, int(size * self.rectangle_area))
        extent = least + (extents * (most - least + 1)).astype(np.intp)
        start = (places * (size - extent + 1)).astype(np.intp)
        pixels = np.arange(size)
        inside: Array = (pixels >= start[:, None]) & (pixels < (start + extent)[:, None])
        return inside

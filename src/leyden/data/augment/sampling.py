"""Reading images at places between their pixels."""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from leyden.data.augment.base import as_given

__all__ = ["pixel_places", "sample"]


def pixel_places(images: Tensor) -> tuple[Tensor, Tensor]:
    """Number the pixels of images.

    Returns:
        Places from the left, ``(width,)``, and from the top, ``(height, 1)``.
    """
    height, width = images.shape[-2:]
    y = torch.arange(height, dtype=torch.float32, device=images.device)[:, None]
    x = torch.arange(width, dtype=torch.float32, device=images.device)
    return x, y


def sample(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Read images between four pixels each; what is outside repeats the border.

    Args:
        images: ``(samples, channels, height, width)``.
        x: From where, in pixels from the left, ``(samples, height, width)``.
        y: From where, in pixels from the top, likewise.
    """
    height, width = images.shape[-2:]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    pixels = grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return as_given(pixels, images)

"""Several images in one."""

import math
from pathlib import Path

import numpy as np
from PIL import Image

from leyden.errors import DataError
from leyden.files import replacing
from leyden.types import Array

__all__ = ["batch_to_canvas", "save_image", "to_colours"]


def batch_to_canvas(images: Array, cols: int | None = None) -> Array:
    """Tile images, row by row; cells that are left over are white.

    Args:
        images: Colours in [-1, 1], ``(batch, height, width, channels)``, or several images for each
            of the batch, ``(batch, height, width, images, channels)``, which are tiled first. One
            channel is grey, four have transparency, and of more the first three are taken.
        cols: Images in a row, at least one; ``None`` for a square.

    Returns:
        One image, ``(rows * height, cols * width, channels)``.

    Raises:
        DataError: If these are no images.

    Example:
        >>> batch_to_canvas(np.zeros((9, 10, 10, 3)), cols=5).shape
        (20, 50, 3)
    """
    if images.ndim == 5:
        images = np.stack([batch_to_canvas(np.moveaxis(image, 2, 0)) for image in images])
    if images.ndim != 4 or images.shape[-1] in (0, 2) or not len(images):
        raise DataError(
            f"Expected `images` to be (batch, height, width, channels) with 1, 3 or more channels, "
            f"but got {images.shape}."
        )
    images = _to_channels(images)
    count, height, width, channels = images.shape
    num_cols = math.ceil(math.sqrt(count)) if cols is None else max(1, cols)
    num_rows = num_cols if cols is None else math.ceil(count / num_cols)
    canvas = np.ones((num_rows, num_cols, height, width, channels), images.dtype)
    canvas.reshape(-1, height, width, channels)[:count] = images
    return canvas.swapaxes(1, 2).reshape(num_rows * height, num_cols * width, channels)


def _to_channels(images: Array) -> Array:
    channels = images.shape[-1]
    if channels == 1:
        return np.repeat(images, 3, axis=-1)
    return images[..., :3] if channels > 4 else images


def to_colours(image: Array) -> Array:
    """Turn numbers in [-1, 1] into colours from 0 to 255; what lies beyond is cut off.

    Args:
        image: Numbers, of any shape.

    Example:
        >>> to_colours(np.array([-2.0, -1.0, 0.0, 1.0])).tolist()
        [0, 0, 127, 255]
    """
    return np.clip((image + 1.0) * 127.5, 0, 255).astype(np.uint8)


def save_image(image: Array, path: Path) -> None:
    """Write an image in the format of its extension, whole at every moment.

    Args:
        image: Colours from 0 to 255, ``(height, width, channels)``.
        path: The file; its folder is made if it does not exist.
    """
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary)

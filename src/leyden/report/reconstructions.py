"""Pictures of what an autoencoder makes of its inputs."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from leyden.errors import DataError
from leyden.report.figures import INK, make_grid
from leyden.types import Array

__all__ = ["draw_reconstructions"]


def draw_reconstructions(
    originals: ArrayLike,
    reconstructions: ArrayLike,
    *,
    count: int = 8,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw images, and below each what became of it.

    Args:
        originals: Images, ``(batch, height, width)`` or ``(batch, channels, height, width)`` with
            1 or 3 channels.
        reconstructions: Of the same shape.
        count: How many, the first of the batch.
        limits: Which values are black and white; the lowest and highest of the originals if
            ``None``.

    Returns:
        A figure with a canvas of its own, originals in the first row, reconstructions below.

    Raises:
        DataError: If these are no images, or their shapes differ.
    """
    above, below = np.asarray(originals), np.asarray(reconstructions)
    if above.shape != below.shape or not len(above):
        raise DataError(
            "Expected `reconstructions` to have the shape of `originals`, but got "
            f"{below.shape} and {above.shape}."
        )
    above, below = _to_images(above[:count]), _to_images(below[:count])
    finite = above[np.isfinite(above)]
    low, high = limits or ((finite.min(), finite.max()) if finite.size else (0.0, 1.0))
    figure, axes = make_grid(2 * len(above), columns=len(above), pane_size=(1.1, 1.2))
    span = high - low or 1.0
    for ax, image in zip(axes, (*above, *below), strict=True):
        ax.imshow(np.clip((image - low) / span, 0, 1), cmap="gray", vmin=0, vmax=1)
        ax.set_xticks([])
        ax.set_yticks([])
    axes[0].set_ylabel("original", color=INK)
    axes[len(above)].set_ylabel("made", color=INK)
    return figure


def _to_images(batch: Array) -> Array:
    """Bring a batch to ``(batch, height, width)``, or ``(batch, height, width, 3)``."""
    if batch.ndim == 3:
        return batch
    if batch.ndim != 4 or batch.shape[1] not in (1, 3):
        raise DataError(
            "Expected images of shape (batch, height, width) or (batch, channels, height, width) "
            f"with 1 or 3 channels, but got {batch.shape}."
        )
    return batch[:, 0] if batch.shape[1] == 1 else np.moveaxis(batch, 1, -1)

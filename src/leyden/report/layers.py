"""Pictures of what goes on in the layers of a model."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from leyden.errors import DataError
from leyden.report.figures import INK, PALETTE, make_grid, style_axes
from leyden.types import Array

__all__ = ["draw_heat_map", "draw_histograms"]

_MAX_COLUMNS = 4
_MAX_LABELS = 40


def draw_histograms(
    arrays: Mapping[str, ArrayLike],
    *,
    bins: int = 100,
    share_axes: bool = False,
    vertical_line: float | None = None,
) -> Figure:
    """Draw how the values of arrays are spread, one pane for each.

    For weights, gradients or activations, as ``leyden.introspect`` gives them; or, with
    ``share_axes``, for the outputs of a layer in training and in evaluation.

    Args:
        arrays: Values of any shape, by name. What is not finite is counted in the title and left
            out.
        bins: Bars in each pane.
        share_axes: Whether all panes, and all their bars, have the same limits.
        vertical_line: Where to draw a line, such as a threshold.

    Returns:
        A figure with a canvas of its own.

    Raises:
        DataError: If there are no arrays.
    """
    if not arrays:
        raise DataError("Expected `arrays` to have at least one, but got none.")
    flat = {name: np.asarray(one, dtype=np.float64).ravel() for name, one in arrays.items()}
    finite = {name: one[np.isfinite(one)] for name, one in flat.items()}
    everything = np.concatenate(list(finite.values()))
    limits = None
    if share_axes and everything.size:
        limits = float(everything.min()), float(everything.max())
        limits = _limits(everything, bins) or limits
    figure, axes = make_grid(
        len(flat), columns=_MAX_COLUMNS, pane_size=(3.2, 2.2), share_axes=share_axes
    )
    for ax, (name, values) in zip(axes, finite.items(), strict=True):
        broken = flat[name].size - values.size
        ax.hist(values, bins=bins, range=limits or _limits(values, bins), color=PALETTE["train"])
        if vertical_line is not None:
            ax.axvline(vertical_line, color=PALETTE["val"], linewidth=1.5)
        style_axes(ax, f"{name} ({broken} not finite)" if broken else name)
    return figure


def _limits(values: Array, bins: int) -> tuple[float, float] | None:
    """Give values that nearly are the same room for all bars; ``None`` where they have it."""
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    least = 4 * bins * float(np.spacing(max(abs(low), abs(high))))
    return (low - least, high + least) if 0 < high - low < least else None


def draw_heat_map(
    steps: ArrayLike, values: ArrayLike, names: Sequence[str], *, logarithmic: bool = False
) -> Figure:
    """Draw how one number of each of many layers goes over time: a row for each layer.

    Args:
        steps: When the numbers were taken, ``(times,)``, ascending.
        values: The numbers, ``(layers, times)``. Those that are not finite are red.
        names: Of the layers.
        logarithmic: Whether colours go by powers of ten; zero and less are then grey.

    Returns:
        A figure with a canvas of its own.

    Raises:
        DataError: If the shapes do not match.
    """
    times, numbers = np.asarray(steps), np.asarray(values, dtype=np.float64)
    if numbers.shape != (len(names), len(times)) or not numbers.size:
        raise DataError(
            f"Expected `values` to be (layers, times), ({len(names)}, {len(times)}), but got "
            f"{numbers.shape}."
        )
    is_broken = ~np.isfinite(numbers)
    with np.errstate(divide="ignore", invalid="ignore"):
        shown = np.log10(numbers) if logarithmic else numbers
    shown = np.ma.masked_invalid(shown)
    figure, (ax,) = make_grid(1, columns=1, pane_size=(7.0, 1.2 + 0.16 * len(names)))
    edges = _edges(times)
    ax.set_facecolor("#999999")
    mesh = ax.pcolormesh(edges, np.arange(len(names) + 1), shown, cmap="viridis")
    red = np.ma.masked_where(~is_broken, np.ones(numbers.shape))
    ax.pcolormesh(edges, np.arange(len(names) + 1), red, cmap="autumn", vmin=1, vmax=2)
    figure.colorbar(mesh, ax=ax, label="power of ten" if logarithmic else "")
    style_axes(ax, "layers over time", x="step")
    every = -(-len(names) // _MAX_LABELS)
    ax.set_yticks(np.arange(0, len(names), every) + 0.5, list(names[::every]), color=INK)
    ax.invert_yaxis()
    return figure


def _edges(times: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> list[float]:
    """A number stands for the time from its step to the next one."""
    points = [float(time) for time in times]
    last = points[-1] - points[-2] if len(points) > 1 else 1.0
    return [*points, points[-1] + last]

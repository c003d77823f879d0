"""What all figures share: colours, and the way to the disk."""

import math
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from leyden.files import replacing

__all__ = ["INK", "PALETTE", "make_grid", "save_figure", "style_axes"]

# Okabe and Ito's colours, which people with any kind of colour vision tell apart.
PALETTE: Final = {
    "train": "#0072B2",
    "val": "#D55E00",
    "test": "#009E73",
    "predict": "#CC79A7",
}
"""A colour for each phase."""

INK: Final = "#444444"
"""The colour of text, frames and everything without a phase."""


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole at every moment.

    Args:
        figure: Any figure.
        path: The file; its folder is made if it does not exist.
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def make_grid(
    count: int, *, columns: int, pane_size: tuple[float, float], share_axes: bool = False
) -> tuple[Figure, list[Axes]]:
    """Make a figure of equal panes, row by row; nothing global is touched.

    Args:
        count: Panes, at least one.
        columns: Panes in a row, at most.
        pane_size: Width and height of each, in inches.
        share_axes: Whether all have the same limits.

    Returns:
        The figure, with a canvas of its own, and its panes.
    """
    columns = min(count, columns)
    rows = math.ceil(count / columns)
    size = (pane_size[0] * columns, pane_size[1] * rows)
    figure = Figure(figsize=size, dpi=120, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=share_axes, sharey=share_axes).flat
    for ax in axes[count:]:
        ax.remove()
    return figure, list(axes[:count])


def style_axes(ax: Axes, title: str, *, x: str = "", y: str = "") -> None:
    """Name a pane and its axes, in the manner of all figures.

    Args:
        ax: The pane.
        title: Above it.
        x: Below it.
        y: Beside it.
    """
    ax.set_title(title, loc="left", color=INK, fontsize=10, fontweight="bold")
    ax.set_xlabel(x, color=INK)
    ax.set_ylabel(y, color=INK)
    ax.tick_params(colors=INK, labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#BBBBBB")

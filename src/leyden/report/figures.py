"""What all figures share: colours, and the way to the disk."""

from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from leyden.files import replacing

__all__ = ["INK", "PALETTE", "save_figure"]

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

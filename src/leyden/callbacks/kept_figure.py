"""A figure that is written again and again while a run goes on."""

import warnings
from pathlib import Path

from matplotlib.figure import Figure

from leyden.report import save_figure

__all__ = ["KeptFigure"]


class KeptFigure:
    """Writes a figure to its file; a disk that refuses it is told of once, and ends no run.

    Args:
        what: What the figure shows of the run.
    """

    def __init__(self, what: str) -> None:
        self._what, self._has_warned = what, False

    def write(self, figure: Figure, path: Path) -> None:
        """Write the figure as PNG, or try to.

        Args:
            figure: How it is now.
            path: The file.
        """
        try:
            save_figure(figure, path)
        except OSError as error:  # a picture is not worth a run
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    f"The {self._what} of the run could not be written, and will be tried again: "
                    f"{error}",
                    stacklevel=2,
                )

"""Pictures of a run."""

from leyden.report.figures import save_figure
from leyden.report.history import draw_history

__all__ = ["draw_history", "save_figure"]

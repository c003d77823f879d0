"""Pictures of a run."""

from leyden.report.attributes import describe
from leyden.report.card import draw_card
from leyden.report.figures import save_figure
from leyden.report.history import draw_history
from leyden.report.layers import draw_heat_map, draw_histograms
from leyden.report.page import write_page
from leyden.report.parallel import draw_parallel
from leyden.report.predictions import (
    draw_batch_predictions,
    draw_calibration,
    draw_roc,
    draw_threshold,
)
from leyden.report.reconstructions import draw_reconstructions

__all__ = [
    "describe",
    "draw_batch_predictions",
    "draw_calibration",
    "draw_card",
    "draw_heat_map",
    "draw_histograms",
    "draw_history",
    "draw_parallel",
    "draw_reconstructions",
    "draw_roc",
    "draw_threshold",
    "save_figure",
    "write_page",
]

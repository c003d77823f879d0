"""What a network is trained for and judged by: losses and metrics by name."""

from leyden.modules.objectives.class_weights import plain_weights, weigh_classes
from leyden.modules.objectives.losses import LOSSES, DiceLoss, Loss, make_loss
from leyden.modules.objectives.metrics import (
    MetricRecipe,
    Metrics,
    leaves_open,
    make_metric,
    name_metrics,
)
from leyden.modules.objectives.phases import MeanLoss, PhaseMetrics
from leyden.modules.objectives.weighting import check_window_weights, weighted_loss

__all__ = [
    "LOSSES",
    "DiceLoss",
    "Loss",
    "MeanLoss",
    "MetricRecipe",
    "Metrics",
    "PhaseMetrics",
    "check_window_weights",
    "leaves_open",
    "make_loss",
    "make_metric",
    "name_metrics",
    "plain_weights",
    "weigh_classes",
    "weighted_loss",
]

"""Choices made from predictions: decision thresholds, and the sets that a model is best on."""

from leyden.calibration.goals import Goal, MetricLike, choose_goal
from leyden.calibration.metrics import (
    compute_metric,
    f1_score,
    informedness,
    tnr,
    tnr_tpr,
    tpr,
)
from leyden.calibration.records import Calibration, Samples, calibrate, read_samples
from leyden.calibration.samples import Numbers
from leyden.calibration.subsets import Subset, best_subset, best_subset_from_history
from leyden.calibration.thresholds import (
    Threshold,
    check_search,
    find_threshold,
    metric_at_thresholds,
)

__all__ = [
    "Calibration",
    "Goal",
    "MetricLike",
    "Numbers",
    "Samples",
    "Subset",
    "Threshold",
    "best_subset",
    "best_subset_from_history",
    "calibrate",
    "check_search",
    "choose_goal",
    "compute_metric",
    "f1_score",
    "find_threshold",
    "informedness",
    "metric_at_thresholds",
    "read_samples",
    "tnr",
    "tnr_tpr",
    "tpr",
]

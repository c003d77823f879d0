"""Metrics of two classes at a threshold, and metrics by name."""

import torch

from leyden.calibration.counts import COUNT_METRICS, Counts, count, f_score
from leyden.calibration.goals import MetricLike, choose_goal
from leyden.calibration.sample_metrics import SampleMetric
from leyden.calibration.samples import Numbers, as_binary, as_tensor
from leyden.errors import ConfigError

__all__ = ["compute_metric", "f1_score", "informedness", "tnr", "tnr_tpr", "tpr"]


def compute_metric(
    scores: Numbers,
    targets: Numbers,
    metric: MetricLike,
    *,
    threshold: float | None = 0.5,
    weights: Numbers | None = None,
) -> float:
    """Compute a metric, given by name or otherwise.

    Args:
        scores: What was predicted, ``(samples, ...)``; for a metric of decisions, of the positive
            class.
        targets: What is true, as the metric takes it; for a metric of decisions, 0 or 1, as many.
        metric: See ``find_threshold``; or the name of a metric that takes scores as they are.
        threshold: Above which a sample is decided to be positive; ``None`` to give the metric the
            scores as they are.
        weights: Of the samples, ``(samples,)``; for losses, each sample's loss is multiplied with
            its weight, and the sum divided by the number of samples.

    Raises:
        ConfigError: If there is no such metric, or it takes no weights.
        DataError: If scores, targets and weights do not fit each other.

    Example:
        >>> compute_metric([0.2, 0.7, 0.6], [0, 1, 0], "precision")
        0.5
        >>> compute_metric([0.2, 0.7], [0.0, 1.0], "mae", weights=[1, 3])  # (0.2 + 3 * 0.3) / 2
        0.55
    """
    goal = choose_goal(metric, higher_is_better=True)  # which nobody asks here
    if isinstance(goal.compute, SampleMetric):
        of_samples = None if weights is None else as_tensor(weights)
        return goal.compute(as_tensor(scores), as_tensor(targets), of_samples)
    if weights is not None:
        problem = "Expected `weights` with the name of a loss only"
        raise ConfigError(f"{problem}, but got them with {goal.name!r}.")
    if threshold is None or not goal.decides:
        return goal.of_scores(as_tensor(scores), as_tensor(targets))
    at = torch.tensor([threshold], dtype=torch.float64)
    return float(goal.at_thresholds(*as_binary(scores, targets), at))


def f1_score(
    scores: Numbers, targets: Numbers, *, threshold: float = 0.5, beta: float = 1.0
) -> float:
    """Compute the F1 score of two classes; without positives, the share of negatives left out.

    Args:
        scores: Of the positive class, or decisions, ``(samples,)``.
        targets: True classes, ``(samples,)``, 0 or 1.
        threshold: A sample is predicted to be positive if its score is above.
        beta: How many times as important the recall is as the precision.

    Raises:
        DataError: If scores and targets do not fit each other.

    Example:
        >>> round(f1_score([0.1, 0.9, 0.6], [0, 1, 0]), 4)
        0.6667
        >>> f1_score([0.1, 0.9], [0, 0])
        0.5
    """
    return float(f_score(_count(scores, targets, threshold), beta))


def tpr(scores: Numbers, targets: Numbers, *, threshold: float = 0.5) -> float:
    """Compute the share of positives that are predicted; NaN if there are none.

    Args:
        scores: See ``f1_score``.
        targets: Likewise.
        threshold: Likewise.

    Raises:
        DataError: If scores and targets do not fit each other.

    Example:
        >>> tpr([0.1, 0.9, 0.6], [1, 1, 0])
        0.5
    """
    return float(COUNT_METRICS["tpr"](_count(scores, targets, threshold)))


def tnr(scores: Numbers, targets: Numbers, *, threshold: float = 0.5) -> float:
    """Compute the share of negatives that are left out; NaN if there are none.

    Args:
        scores: See ``f1_score``.
        targets: Likewise.
        threshold: Likewise.

    Raises:
        DataError: If scores and targets do not fit each other.

    Example:
        >>> tnr([0.1, 0.9, 0.6, 0.7], [0, 1, 0, 0]) == 1 / 3
        True
    """
    return float(COUNT_METRICS["tnr"](_count(scores, targets, threshold)))


def tnr_tpr(scores: Numbers, targets: Numbers, *, threshold: float = 0.5) -> list[float]:
    """Compute the shares of negatives left out and of positives predicted, in this order.

    Args:
        scores: See ``f1_score``.
        targets: Likewise.
        threshold: Likewise.

    Raises:
        DataError: If scores and targets do not fit each other.

    Example:
        >>> tnr_tpr([0.1, 0.9, 0.6], [0, 1, 1])
        [1.0, 1.0]
    """
    counts = _count(scores, targets, threshold)
    return [float(COUNT_METRICS[name](counts)) for name in ("tnr", "tpr")]


def informedness(scores: Numbers, targets: Numbers, *, threshold: float = 0.5) -> float:
    """Compute Youden's J, the shares of both classes told right minus 1; 0 for guessing.

    Args:
        scores: See ``f1_score``.
        targets: Likewise.
        threshold: Likewise.

    Raises:
        DataError: If scores and targets do not fit each other.

    Example:
        >>> informedness([0.1, 0.9, 0.6, 0.2], [0, 1, 0, 1])
        0.0
    """
    return float(COUNT_METRICS["informedness"](_count(scores, targets, threshold)))


def _count(scores: Numbers, targets: Numbers, threshold: float) -> Counts:
    flat, true = as_binary(scores, targets)
    at = torch.tensor([threshold], dtype=torch.float64).to(flat.dtype)
    if flat.dtype not in (torch.float32, torch.float64):
        flat, at = flat.float(), at.float()
    return count(flat, true, at)

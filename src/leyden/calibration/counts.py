"""Hits and misses of decisions, counted at many thresholds at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
from torch import Tensor

__all__ = ["COUNT_METRICS", "CountMetric", "Counts", "count", "f_score"]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many decisions were right and wrong at each threshold; all ``(thresholds,)``, float64.

    Args:
        tp: Positives that were found.
        fp: Negatives that were taken for positives.
        tn: Negatives that were left out.
        fn: Positives that were missed.
    """

    tp: Tensor
    fp: Tensor
    tn: Tensor
    fn: Tensor


CountMetric: TypeAlias = Callable[[Counts], Tensor]
"""Makes a number of the counts at each threshold, ``(thresholds,)``; NaN where it has none."""


def count(scores: Tensor, targets: Tensor, thresholds: Tensor) -> Counts:
    """Count the hits and misses of ``scores > threshold`` at every threshold, in one pass.

    Args:
        scores: Of the positive class, ``(samples,)``.
        targets: True classes, ``(samples,)``, 0 or 1.
        thresholds: In ascending order, ``(thresholds,)``, of the dtype of the scores.

    Returns:
        The counts.

    Example:
        >>> from torch import tensor
        >>> counts = count(tensor([0.2, 0.7]), tensor([0, 1]), tensor([0.1, 0.5]))
        >>> counts.tp.tolist(), counts.fp.tolist()
        ([1.0, 1.0], [1.0, 0.0])
    """
    positive = targets.bool()
    num_below = torch.searchsorted(thresholds, scores)  # at so many thresholds a score is above
    found, missed = _above(num_below[positive], len(thresholds))
    taken, left = _above(num_below[~positive], len(thresholds))
    return Counts(tp=found, fp=taken, tn=left, fn=missed)


def _above(num_below: Tensor, num_thresholds: int) -> tuple[Tensor, Tensor]:
    """Count the scores above each threshold, and the others."""
    numbers = torch.bincount(num_below, minlength=num_thresholds + 1)
    others = numbers.cumsum(0)[:-1].double()
    return len(num_below) - others, others


def f_score(counts: Counts, beta: float = 1.0) -> Tensor:
    """Compute the F-beta score; where there are no positives, the share of negatives left out.

    Without positives, precision and recall say nothing: the fewer are predicted, the better.

    Args:
        counts: The hits and misses.
        beta: How many times as important the recall is as the precision.

    Returns:
        The scores, ``(thresholds,)``.
    """
    weight = beta**2
    hits = (1 + weight) * counts.tp
    scores = hits / (hits + weight * counts.fn + counts.fp)
    return torch.where(counts.tp + counts.fn > 0, scores, _tnr(counts))


def _accuracy(counts: Counts) -> Tensor:
    return (counts.tp + counts.tn) / (counts.tp + counts.fp + counts.tn + counts.fn)


def _precision(counts: Counts) -> Tensor:
    predicted = counts.tp + counts.fp
    return counts.tp / predicted.clamp(min=1)  # 0 where none is predicted, as elsewhere


def _tpr(counts: Counts) -> Tensor:
    return counts.tp / (counts.tp + counts.fn)


def _tnr(counts: Counts) -> Tensor:
    return counts.tn / (counts.tn + counts.fp)


def _informedness(counts: Counts) -> Tensor:
    return _tpr(counts) + _tnr(counts) - 1


def _balanced_accuracy(counts: Counts) -> Tensor:
    return (_tpr(counts) + _tnr(counts)) / 2


def _matthews_corrcoef(counts: Counts) -> Tensor:
    found, taken = counts.tp + counts.fn, counts.tp + counts.fp
    spread = (found * taken * (counts.tn + counts.fp) * (counts.tn + counts.fn)).sqrt()
    # 0 where all decisions, or all targets, are the same, as in scikit-learn.
    return (counts.tp * counts.tn - counts.fp * counts.fn) / spread.where(spread > 0, 1.0)


COUNT_METRICS: Final[Mapping[str, CountMetric]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": f_score,
    "informedness": _informedness,
    "matthews_corrcoef": _matthews_corrcoef,
    "precision": _precision,
    "tnr": _tnr,
    "tpr": _tpr,
}
"""Metrics of counts by name; of all of them, higher is better."""

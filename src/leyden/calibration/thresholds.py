"""The decision threshold at which a metric is best."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from leyden.calibration.goals import Goal, MetricLike, choose_goal
from leyden.calibration.samples import Numbers, as_binary, as_tensor
from leyden.errors import ConfigError, DataError, check_number, check_whole
from leyden.types import Array

__all__ = [
    "Threshold",
    "best_index",
    "candidates",
    "check_scores",
    "check_search",
    "find_threshold",
    "metric_at_thresholds",
    "search",
]

_DIGITS = 12  # of thresholds, which then are what one would write: 0.35, not 0.35000000000000003


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold, and how good it is.

    Args:
        value: Scores above it are decided to be positive.
        metric: What the metric is there.
    """

    value: float
    metric: float


def find_threshold(
    scores: Numbers,
    targets: Numbers,
    metric: MetricLike,
    *,
    steps: int = 100,
    bounds: tuple[float, float] = (0.0, 1.0),
    prefer: float = 0.5,
    higher_is_better: bool | None = None,
) -> Threshold:
    """Find the decision threshold at which ``metric`` is best.

    A sample is decided to be positive if its score is above the threshold. Ties go to the threshold
    nearest ``prefer``, and of two as near, to the lower.

    Args:
        scores: Probabilities of the positive class, ``(samples,)``, or other scores within
            ``bounds``.
        targets: True classes, ``(samples,)``, 0 or 1.
        metric: Called as ``metric(predictions, targets)`` with decisions, ``(samples,)``, 0 or 1;
            or a metric of torchmetrics, such as ``BinaryF1Score()``; or a name: ``"f1"``,
            ``"accuracy"``, ``"balanced_accuracy"``, ``"precision"``, ``"tpr"`` (also ``"recall"``),
            ``"tnr"`` (also ``"specificity"``), ``"informedness"`` (also ``"youden"``),
            ``"matthews_corrcoef"`` (also ``"mcc"``), that of another metric of two classes in
            torchmetrics, of a function in ``sklearn.metrics``, or an import path.
        steps: Number of steps from one bound to the other; thresholds lie between them.
        bounds: Lowest and highest threshold tried; but at 0 and 1 themselves, where decisions no
            longer depend on probabilities, none is.
        prefer: Threshold favoured among equals.
        higher_is_better: Which way is better; ``None`` for what the metric says, and for
            ``True`` if it is a function that says nothing.

    Returns:
        The threshold and the metric's value there.

    Raises:
        ConfigError: If there is no such metric, it does not compare decisions or does not say which
            way is better, or ``steps``, ``bounds`` or ``prefer`` are out of range.
        DataError: If ``scores`` and ``targets`` differ in length, scores are no probabilities and
            no other ``bounds`` are given, targets are not 0 or 1, or the metric is NaN everywhere.

    Example:
        >>> from torch import tensor
        >>> hits = lambda predictions, targets: (predictions == targets).float().mean().item()
        >>> find_threshold(tensor([0.2, 0.7]), tensor([0, 1]), hits).metric
        1.0
        >>> find_threshold([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], "f1")
        Threshold(value=0.34, metric=0.8)
    """
    goal = choose_goal(metric, higher_is_better)
    check_search(goal, steps, bounds)
    check_number("prefer", prefer, -np.inf)
    flat, true = as_binary(scores, targets)
    check_scores(flat, bounds)
    return search(flat, true, goal, steps=steps, bounds=bounds, prefer=prefer)


def metric_at_thresholds(
    scores: Numbers, targets: Numbers, metric: MetricLike, thresholds: Numbers
) -> Tensor:
    """Compute a metric at many thresholds, for a curve of it.

    Args:
        scores: Of the positive class, ``(samples,)``.
        targets: True classes, ``(samples,)``, 0 or 1.
        metric: See ``find_threshold``.
        thresholds: In ascending order, ``(thresholds,)``.

    Returns:
        Its values, ``(thresholds,)``, float64.

    Raises:
        ConfigError: If there is no such metric, it does not compare decisions, or thresholds are in
            another order.
        DataError: If scores and targets do not fit each other.

    Example:
        >>> metric_at_thresholds([0.2, 0.7], [0, 1], "tnr", [0.1, 0.5]).tolist()
        [0.0, 1.0]
    """
    goal = choose_goal(metric, higher_is_better=True)  # which nobody asks here
    _check_decides(goal)
    at = as_tensor(thresholds).double()
    if at.ndim != 1 or (at.diff() < 0).any():
        raise ConfigError(
            f"Expected `thresholds` to be in ascending order, but got {thresholds!r}."
        )
    return goal.at_thresholds(*as_binary(scores, targets), at)


def check_search(goal: Goal, steps: int, bounds: tuple[float, float]) -> None:
    """Refuse what cannot be searched.

    Args:
        goal: The metric.
        steps: See ``find_threshold``.
        bounds: Likewise.

    Raises:
        ConfigError: If the metric does not compare decisions, or ``steps`` or ``bounds`` are out
            of range.
    """
    _check_decides(goal)
    check_whole("steps", steps, 2)
    try:
        low, high = map(float, bounds)
    except (TypeError, ValueError):
        low, high = np.inf, -np.inf  # refused below
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        problem = "Expected `bounds` to be a lowest and a highest threshold"
        raise ConfigError(f"{problem}, but got {bounds!r}.")


def _check_decides(goal: Goal) -> None:
    if not goal.decides:
        problem = "Expected `metric` to compare decisions"
        raise ConfigError(f"{problem}, but {goal.name!r} takes scores. Pass such as 'f1'.")


def check_scores(scores: Tensor, bounds: tuple[float, float]) -> None:
    """Refuse scores that are no probabilities, unless other bounds are given than theirs.

    Args:
        scores: ``(samples,)``.
        bounds: See ``find_threshold``.

    Raises:
        DataError: If they are none.
    """
    if tuple(bounds) == (0, 1) and ((scores < 0) | (scores > 1)).any():
        problem = "Expected `scores` to be probabilities from 0 to 1"
        remedy = "Pass `bounds` for other scores."
        got = f"{scores.min().item():.6g} to {scores.max().item():.6g}"
        raise DataError(f"{problem}, but got scores from {got}. {remedy}")


def candidates(steps: int, bounds: tuple[float, float], *, inner: bool) -> Array:
    """List the thresholds that are tried.

    Args:
        steps: Number of steps from one bound to the other.
        bounds: Lowest and highest threshold.
        inner: Whether 0 and 1 are left out where they are bounds.

    Returns:
        The thresholds in ascending order, ``(thresholds,)``.
    """
    low, high = bounds
    if low == high:
        return np.array([low])
    found = np.round(np.linspace(low, high, steps + 1), _DIGITS)
    return found[int(inner and low == 0) : len(found) - int(inner and high == 1)]


def search(
    scores: Tensor,
    targets: Tensor,
    goal: Goal,
    *,
    steps: int,
    bounds: tuple[float, float],
    prefer: float,
) -> Threshold:
    """Find the best threshold of scores and targets that have been checked.

    Args:
        scores: ``(samples,)``.
        targets: Whether the positive class is the true one, ``(samples,)``.
        goal: The metric.
        steps: See ``find_threshold``.
        bounds: Likewise.
        prefer: Likewise.

    Returns:
        The threshold and the metric's value there.

    Raises:
        DataError: If the metric is NaN at every threshold.
    """
    thresholds = candidates(steps, bounds, inner=True)
    values = goal.at_thresholds(scores, targets, torch.from_numpy(thresholds)).numpy()
    best = best_index(values, higher_is_better=goal.higher_is_better, near=thresholds - prefer)
    if best is None:
        problem = f"Expected `metric` to be a number at some threshold, but {goal.name!r} is NaN"
        remedy = "A class may be missing from `targets`."
        raise DataError(f"{problem} at all {len(thresholds)}. {remedy}")
    return Threshold(float(thresholds[best]), float(values[best]))


def best_index(values: Array, *, higher_is_better: bool, near: Array | None = None) -> int | None:
    """Find the best of some values.

    Args:
        values: ``(values,)``; NaN is never the best.
        higher_is_better: Which way is better.
        near: How far each is from where it is preferred, ``(values,)``; of equal values, the one
            with the least distance is the best, and of those the first.

    Returns:
        Its index; ``None`` if all are NaN.
    """
    if np.isnan(values).all():
        return None
    best = np.nanmax(values) if higher_is_better else np.nanmin(values)
    equal = np.flatnonzero(values == best)
    if near is None:
        return int(equal[0])
    return int(equal[np.argmin(np.round(np.abs(near[equal]), _DIGITS))])

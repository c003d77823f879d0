"""Metrics to be optimised, by name, as functions or as objects of torchmetrics."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from inspect import signature
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any, Final, TypeAlias, cast

import torch
import torchmetrics.classification
import torchmetrics.regression
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import BinaryConfusionMatrix, BinaryStatScores

from leyden.calibration.counts import COUNT_METRICS, CountMetric, Counts, count
from leyden.calibration.sample_metrics import SAMPLE_METRICS
from leyden.calibration.samples import as_binary
from leyden.errors import ConfigError, DataError, suggest
from leyden.types import Array

__all__ = ["Goal", "MetricLike", "choose_goal"]

MetricLike: TypeAlias = str | Metric | Callable[[Tensor, Tensor], Any]
"""A name, a metric of torchmetrics, or a function of predictions and targets."""

_SHORT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "acc": "accuracy",
        "binaryaccuracy": "accuracy",
        "f1score": "f1",
        "recall": "tpr",
        "sensitivity": "tpr",
        "specificity": "tnr",
        "youden": "informedness",
        "binaryinformedness": "informedness",
        "cosine": "cosine_similarity",
        "mcc": "matthews_corrcoef",
        "kld": "kullback_leibler_divergence",
        "mae": "mean_absolute_error",
        "mape": "mean_absolute_percentage_error",
        "mse": "mean_squared_error",
        "msle": "mean_squared_logarithmic_error",
    }
)
_OF_SCORES = {"brier_score_loss", "d2_brier_score", "d2_log_loss_score", "hinge_loss", "log_loss"}


@dataclass(frozen=True, slots=True)
class Goal:
    """A metric, and what is known about it.

    Args:
        name: What it is called.
        higher_is_better: Which way is better.
        decides: Whether it compares decisions, 0 or 1, with targets; else it takes scores.
        compute: Called with decisions, or scores, and targets.
        on_counts: The same from counts of hits and misses, at many thresholds at once, if known.
    """

    name: str
    higher_is_better: bool
    decides: bool
    compute: Callable[[Tensor, Tensor], Any]
    on_counts: CountMetric | None = None

    def of_scores(self, scores: Tensor, targets: Tensor) -> float:
        """Compute it from scores without a threshold.

        Raises:
            ConfigError: If it does not make a number of them.
        """
        return _as_number(self.compute(scores, targets), self.name)

    def at_thresholds(self, scores: Tensor, targets: Tensor, thresholds: Tensor) -> Tensor:
        """Compute it from the decisions ``scores > threshold`` at each threshold.

        Args:
            scores: Of the positive class, ``(samples,)``.
            targets: Whether it is the true one, ``(samples,)``.
            thresholds: In ascending order, ``(thresholds,)``.

        Returns:
            Its values, ``(thresholds,)``, float64.

        Raises:
            ConfigError: If it does not make a number of decisions.
        """
        same = thresholds.to(scores.dtype)  # torch compares a tensor with a number so
        if scores.dtype not in (torch.float32, torch.float64):
            scores, same = scores.float(), same.float()
        counts = count(scores, targets, same)
        if self.on_counts is not None:
            return self.on_counts(counts)
        values: list[float] = []
        numbers = (counts.tp + counts.fp).tolist()
        for index, threshold in enumerate(same):
            if index and numbers[index] == numbers[index - 1]:  # decisions are the same ones
                values.append(values[-1])
            else:
                found = self.compute((scores > threshold).long(), targets.long())
                values.append(_as_number(found, self.name))
        return torch.tensor(values, dtype=torch.float64)


def choose_goal(metric: MetricLike, higher_is_better: bool | None = None) -> Goal:
    """Find out what is known about a metric.

    Args:
        metric: A name, an object or a function.
        higher_is_better: Which way is better; ``None`` for what the metric says, and for
            ``True`` if it is a function that says nothing.

    Returns:
        The metric to optimise.

    Raises:
        ConfigError: If there is no metric of that name, or it does not say which way is better.

    Example:
        >>> choose_goal("mae").higher_is_better, choose_goal("f1").higher_is_better
        (False, True)
    """
    found: Any = _find(metric) if isinstance(metric, str) else metric
    known = found if isinstance(found, Goal) else _of_object(found)
    says: bool | None = known.higher_is_better
    better = says if higher_is_better is None else higher_is_better
    if better is None:
        problem = f"Expected the metric to say which way is better, but {known.name!r} does not"
        raise ConfigError(f"{problem}. Pass `higher_is_better`.")
    return Goal(known.name, better, known.decides, known.compute, known.on_counts)


def _find(name: str) -> "Goal | Metric | Callable[..., Any]":
    """Find a metric by its name: here, then in torchmetrics, then in scikit-learn."""
    key = _squash(name)
    ours = {_squash(known): known for known in (*COUNT_METRICS, *SAMPLE_METRICS)}
    known = _SHORT.get(key) or ours.get(key) or ""
    if known in COUNT_METRICS:
        on_counts = COUNT_METRICS[known]
        return Goal(known, True, True, partial(_of_decisions, on_counts), on_counts)
    if known in SAMPLE_METRICS:
        metric = SAMPLE_METRICS[known]
        return Goal(known, metric.higher_is_better, False, metric)
    last = key.rpartition(".")[2]
    kind = _classes().get(f"binary{last}") or _classes().get(last)
    if kind is not None and ("." not in name or name.startswith("torchmetrics.")):
        return _make(kind, name)
    by_sklearn: Any = import_module("sklearn.metrics")  # takes a while, and is not always needed
    found = getattr(by_sklearn, name, None) if name in by_sklearn.__all__ else None
    return _import(name) if found is None else cast("Callable[..., Any]", found)


def _import(name: str) -> Callable[..., Any]:
    problem = f"Expected `metric` to be a known name or an import path, but got {name!r}."
    if "." not in name:
        raise ConfigError(f"{problem} {suggest(name, {*COUNT_METRICS, *SAMPLE_METRICS})}")
    try:
        found = resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{problem} It cannot be imported: {error}.") from error
    if isinstance(found, type) and issubclass(found, Metric):
        return _make(found, name)
    if not callable(found):
        raise ConfigError(f"{problem} It is no function.")
    return cast("Callable[..., Any]", found)


def _make(kind: type[Metric], name: str) -> Metric:
    try:
        return kind()
    except (TypeError, ValueError) as error:
        problem = f"Expected {name!r} to need no arguments, but {error}"
        raise ConfigError(f"{problem}. Pass an object, such as {kind.__name__}(...).") from error


def _of_object(metric: Any) -> Goal:
    """Find out what is known about a metric of torchmetrics, a function, or one of sklearn's."""
    if isinstance(metric, Metric):
        name, decides = _snake(metric), "threshold" in signature(type(metric)).parameters
        on_counts = partial(_of_states, metric) if _keeps_counts(metric) else None
        better: Any = metric.higher_is_better
        return Goal(name, better, decides, partial(_of_metric, metric), on_counts)
    if not callable(metric):
        problem = "Expected `metric` to be a name, a metric of torchmetrics or a function"
        raise ConfigError(f"{problem}, but got {metric!r}.")
    name = _snake(metric)
    room = getattr(metric, "__module__", None) or ""
    if not room.startswith("sklearn.metrics"):
        return Goal(name, getattr(metric, "higher_is_better", True), True, metric)
    of_scores = name in _OF_SCORES or room.endswith(("_ranking", "_regression"))
    worse = name.endswith(("_error", "_loss", "_deviance"))
    return Goal(name, not worse, not of_scores, partial(_of_sklearn, metric))


@contextmanager
def _suiting(name: str, predictions: Tensor, targets: Tensor) -> Iterator[None]:
    """Say in a sentence of ours what a library has against scores and targets."""
    try:
        yield
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        what = f"of the shapes {tuple(predictions.shape)} and {tuple(targets.shape)}"
        reason = " ".join(str(error).split()).rstrip(".")
        raise DataError(
            f"Expected scores and targets that {name!r} can be computed of, but got some {what}: "
            f"{reason}."
        ) from error


def _of_decisions(on_counts: CountMetric, decisions: Tensor, targets: Tensor) -> float:
    thresholds = torch.tensor([0.5], dtype=torch.float64)
    flat, true = as_binary(decisions, targets)
    return float(on_counts(count(flat.double(), true, thresholds)))


def _of_sklearn(metric: Callable[..., Any], predictions: Tensor, targets: Tensor) -> Any:
    with _suiting(_snake(metric), predictions, targets):
        return metric(_as_array(targets), _as_array(predictions))  # which has the truth first


def _as_array(tensor: Tensor) -> Array:
    found: Array = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
    return found


def _of_metric(metric: Metric, predictions: Tensor, targets: Tensor) -> Any:
    alone = _alone(metric)
    with _suiting(_snake(metric), predictions, targets):
        alone.update(predictions, targets)
        return alone.compute()


def _of_states(metric: Metric, counts: Counts) -> Tensor:
    """Compute a metric that keeps counts, from counts."""
    alone, values = _alone(metric), []
    one = torch.ones(1, dtype=torch.long)
    rows = torch.stack([counts.tp, counts.fp, counts.tn, counts.fn], dim=1).long()
    for row in rows:
        alone.reset()
        alone.update(one, one)  # it computes nothing without an update
        if isinstance(alone, BinaryConfusionMatrix):
            alone.confmat = row[[2, 1, 3, 0]].reshape(2, 2)
        else:
            alone.tp, alone.fp, alone.tn, alone.fn = row
        values.append(_as_number(alone.compute(), _snake(metric)))
    return torch.tensor(values, dtype=torch.float64)


def _keeps_counts(metric: Metric) -> bool:
    if not isinstance(metric, BinaryConfusionMatrix | BinaryStatScores):
        return False
    gathers = isinstance(metric, BinaryStatScores) and not isinstance(metric.tp, Tensor)
    return metric.ignore_index is None and not gathers


def _alone(metric: Metric) -> Metric:
    """Copy a metric for one process: all have the scores of all, and must not add them up."""
    alone = metric.clone().cpu()
    alone.reset()
    alone.sync_on_compute = False
    return alone


def _as_number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        problem = f"Expected the metric {name!r} to give one number"
        raise ConfigError(f"{problem}, but got {value!r}.") from error


@cache
def _classes() -> dict[str, type[Metric]]:
    rooms = (torchmetrics.classification, torchmetrics.regression)
    found = (getattr(room, name) for room in rooms for name in room.__all__)
    kinds = [kind for kind in found if isinstance(kind, type) and issubclass(kind, Metric)]
    return {_squash(kind.__name__): kind for kind in kinds}


def _snake(metric: Any) -> str:
    """Name a metric so that its name can be part of that of a logged number."""
    name: str = getattr(metric, "__name__", type(metric).__name__)
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return snake if snake.isidentifier() else "metric"  # of a lambda


def _squash(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()

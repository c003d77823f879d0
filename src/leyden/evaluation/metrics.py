"""Metrics that have a name, and what they take from stored rows."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn import metrics as sk

from leyden.errors import ConfigError
from leyden.evaluation.records import Records
from leyden.report import draw_roc
from leyden.report.figures import make_grid, style_axes
from leyden.types import Array

__all__ = [
    "METRICS",
    "classes_in",
    "has_predictions",
    "probabilities_in",
    "scores_in",
    "suiting",
    "targets_in",
]

_SCORES = ("probabilities", "scores", "logits", "predictions")
_WRITTEN = 20  # classes of which a confusion matrix has its numbers written


def targets_in(records: Records) -> Array:
    """Give what is true; classes are numbered, also where they were one-hot.

    Raises:
        ConfigError: If the records do not say.
    """
    if "target" not in records:
        problem = "Expected records with a column `target`, but there is none"
        raise ConfigError(
            f"{problem}. Evaluate data with labels, or return `target` from the step."
        )
    targets = np.asarray(records["target"])
    is_column = targets.ndim == 2 and targets.shape[1] == 1
    if is_column:
        return targets[:, 0]
    if _is_one_hot(targets) and np.ndim(records.get("classes", targets)) == 1:
        return np.asarray(targets.argmax(1))
    return targets


def _is_one_hot(targets: Array) -> bool:
    is_binary = targets.ndim == 2 and bool(np.isin(targets, (0, 1)).all())
    return is_binary and bool((targets.sum(1) == 1).all())


def has_predictions(records: Records) -> bool:
    """Say whether something was predicted that has a known name."""
    return any(name in records for name in (*_SCORES, "classes"))


def scores_in(records: Records) -> Array:
    """Give the scores of classes, or whatever else was predicted.

    Raises:
        ConfigError: If nothing was.
    """
    for name in (*_SCORES, "classes"):
        if name in records:
            scores = np.asarray(records[name])
            return scores[:, 0] if scores.ndim == 2 and scores.shape[1] == 1 else scores
    problem = f"Expected records with one of {', '.join(_SCORES)} and classes"
    raise ConfigError(f"{problem}, but got {', '.join(records)}. Return a dictionary with one.")


def classes_in(records: Records) -> Array:
    """Give the classes that were chosen, or whatever else was predicted.

    Of scores of several classes, the highest is chosen; of single probabilities, those above 0.5.

    Raises:
        ConfigError: If nothing was.
    """
    if "classes" in records:
        return np.asarray(records["classes"])
    scores = scores_in(records)
    if not _are_classes(records, scores):
        return scores
    return np.asarray(scores.argmax(1) if scores.ndim > 1 else scores > 0.5).astype(np.int64)


def _are_classes(records: Records, scores: Array) -> bool:
    """Say whether scores are of classes, as targets that are whole numbers tell."""
    if "target" not in records or scores.dtype.kind != "f":
        return False
    targets = targets_in(records)
    if targets.dtype.kind not in "biu":
        return False
    return scores.ndim == targets.ndim + 1 or _is_probability(scores)


def _is_probability(scores: Array) -> bool:
    return scores.ndim == 1 and bool(((scores >= 0) & (scores <= 1)).all())


def _sides(records: Records) -> tuple[Array, Array]:
    """Give targets and choices, one for each pixel where there are pixels."""
    targets, classes = targets_in(records), classes_in(records)
    if targets.shape != classes.shape:
        problem = "Expected as many targets as predictions, but got the shapes"
        raise ConfigError(f"{problem} {targets.shape} and {classes.shape}. Name another metric.")
    if targets.dtype.kind == "f" and classes.dtype.kind in "biu":
        targets = targets.astype(np.int64)  # classes that were saved as floats
    return (targets.ravel(), classes.ravel()) if targets.ndim > 2 else (targets, classes)


def _chosen(function: Callable[..., Any], records: Records) -> float:
    return float(function(*_sides(records)))


def _averaged(function: Callable[..., Any], records: Records) -> float:
    """Average over classes, unless there are two, of which the second counts."""
    targets, classes = _sides(records)
    scores = scores_in(records)
    is_binary = targets.ndim == 1 and (scores.ndim == 1 or scores.shape[1] == 2)
    is_binary = is_binary and all(np.isin(side, (0, 1)).all() for side in (targets, classes))
    average = "binary" if is_binary else "macro"
    return float(function(targets, classes, average=average, zero_division=0))


def probabilities_in(records: Records) -> Array:
    """Give scores that are probabilities.

    Raises:
        ConfigError: If they are not.
    """
    scores = scores_in(records).astype(np.float64)
    if scores.min() < 0 or scores.max() > 1:
        problem = "Expected probabilities of classes, from 0 to 1"
        got = f"but got {scores.min():.4g} to {scores.max():.4g}"
        raise ConfigError(f"{problem}, {got}. Return `probabilities` from the step.")
    return scores


def _probabilities(records: Records) -> tuple[Array, Array]:
    """Give targets and probabilities ``(rows,)`` of the second of two classes, or of each."""
    targets, scores = targets_in(records), probabilities_in(records)
    if scores.ndim == 2 and targets.ndim == 1:
        if scores.shape[1] == 2:
            return targets, scores[:, 1]
        scores = scores / np.where(total := scores.sum(1, keepdims=True), total, 1)
    return targets, scores


def _log_loss(records: Records) -> float:
    targets, scores = _probabilities(records)
    labels = range(scores.shape[1]) if scores.ndim == 2 else (0, 1)
    return float(sk.log_loss(targets, scores, labels=list(labels)))


def _roc_auc(records: Records) -> float:
    is_single = scores_in(records).ndim == 1  # whose order alone counts
    given = (targets_in(records), scores_in(records)) if is_single else _probabilities(records)
    targets, scores = given
    if scores.ndim == 2 and targets.ndim == 1:
        labels = list(range(scores.shape[1]))
        return float(sk.roc_auc_score(targets, scores, multi_class="ovr", labels=labels))
    return float(sk.roc_auc_score(targets, scores))


def _of_probabilities(function: Callable[..., Any], records: Records) -> float:
    return float(function(*_probabilities(records)))


def _roc(records: Records) -> Figure:
    targets, scores = _probabilities(records)
    return draw_roc(scores, targets)


def _confusion(records: Records) -> Figure:
    targets, classes = _sides(records)
    counts = sk.confusion_matrix(targets, classes)
    size = min(12.0, 2.5 + 0.4 * len(counts))
    figure, (ax,) = make_grid(1, columns=1, pane_size=(size, size))
    is_written = len(counts) <= _WRITTEN
    names = np.unique([*np.unique(targets), *np.unique(classes)])
    display = sk.ConfusionMatrixDisplay(counts, display_labels=names)
    display.plot(ax=ax, cmap="Blues", colorbar=not is_written, include_values=is_written)
    style_axes(ax, "confusion matrix", x="predicted", y="true")
    return figure


METRICS: Mapping[str, Callable[[Records], Any]] = MappingProxyType(
    {
        "accuracy": partial(_chosen, sk.accuracy_score),
        "average_precision": partial(_of_probabilities, sk.average_precision_score),
        "balanced_accuracy": partial(_chosen, sk.balanced_accuracy_score),
        "brier": partial(_of_probabilities, sk.brier_score_loss),
        "cohen_kappa": partial(_chosen, sk.cohen_kappa_score),
        "confusion_matrix": partial(_confusion),
        "f1": partial(_averaged, sk.f1_score),
        "log_loss": partial(_log_loss),
        "mae": partial(_chosen, sk.mean_absolute_error),
        "matthews_corrcoef": partial(_chosen, sk.matthews_corrcoef),
        "mse": partial(_chosen, sk.mean_squared_error),
        "precision": partial(_averaged, sk.precision_score),
        "r2": partial(_chosen, sk.r2_score),
        "recall": partial(_averaged, sk.recall_score),
        "rmse": partial(_chosen, sk.root_mean_squared_error),
        "roc": partial(_roc),
        "roc_auc": partial(_roc_auc),
    }
)
"""Metrics by name, each a function of ``Records``; ``confusion_matrix`` and ``roc`` are figures."""


def suiting(records: Records) -> list[str]:
    """Name the metrics that are computed if nobody asks for any.

    Args:
        records: What they are computed of.
    """
    if "target" not in records:
        return []
    try:
        targets, classes = _sides(records)
    except ConfigError:  # of another shape, or nothing predicted
        return []
    if classes.dtype.kind == "f":
        return ["mse", "mae", "r2"] if len(targets) > 1 else ["mse", "mae"]
    if targets.dtype.kind not in "biu":
        return []
    scores = scores_in(records)
    is_scored = targets.ndim == 1 and scores.dtype.kind == "f" and "probabilities" in records
    count = 2 if scores.ndim == 1 else scores.shape[1]
    has_all = is_scored and len(np.unique(targets)) == count
    names = ["accuracy", "f1", *["log_loss"] * is_scored, *["roc_auc"] * has_all]
    return [*names, *["confusion_matrix"] * (targets.ndim == 1)]

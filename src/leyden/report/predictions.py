"""Pictures of what a model predicts, beside what is true."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score, roc_curve

from leyden.errors import DataError
from leyden.report.figures import INK, PALETTE, make_grid, style_axes
from leyden.types import Array

__all__ = ["draw_batch_predictions", "draw_calibration", "draw_roc", "draw_threshold"]

_COLOURS = (PALETTE["train"], PALETTE["val"])  # of class 0, of class 1


def draw_threshold(scores: ArrayLike, targets: ArrayLike, threshold: float = 0.5) -> Figure:
    """Draw every score, coloured by its true class, beside the threshold that decides.

    Scores lie along the horizontal axis; how high a point is means nothing, it is spread evenly, by
    its place among those of its class, so that points do not hide each other.

    Args:
        scores: Probabilities of class 1, ``(samples,)``, in [0, 1].
        targets: True classes, ``(samples,)``, 0 or 1.
        threshold: Scores above it count as class 1.

    Returns:
        A figure with a canvas of its own; the legend says how many of each class are right.

    Raises:
        DataError: If these are not as many targets, of two classes, as scores.
    """
    figure, (ax,) = make_grid(1, columns=1, pane_size=(7.0, 3.6))
    _draw_scores(ax, *_check(scores, targets), threshold)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, labelcolor=INK, edgecolor="none")
    return figure


def draw_calibration(
    scores: ArrayLike,
    targets: ArrayLike,
    *,
    curve: tuple[ArrayLike, ArrayLike],
    threshold: float,
    before: float | None = None,
    metric: str = "metric",
) -> Figure:
    """Draw how good every threshold is, above the scores that it divides.

    Args:
        scores: See ``draw_threshold``; any scores, not only probabilities.
        targets: Likewise.
        curve: Thresholds, and the metric at each, both ``(thresholds,)``.
        threshold: The one that was chosen.
        before: The one that was used until then, if there was one.
        metric: What the metric is called.

    Returns:
        A figure with a canvas of its own and two panes, over the same thresholds.

    Raises:
        DataError: See ``draw_threshold``.
    """
    figure, (upper, lower) = make_grid(2, columns=1, pane_size=(7.0, 3.2))
    thresholds, values = map(np.asarray, curve)
    at = int(np.abs(thresholds - threshold).argmin())
    upper.plot(thresholds, values, color=PALETTE["val"], linewidth=1.8, label=metric)
    upper.plot(thresholds[at], values[at], "o", color=PALETTE["test"], markersize=8, label="best")
    if before is not None:
        upper.axvline(before, color=INK, linestyle=":", label=f"before {before:.4g}")
    style_axes(upper, f"{metric} at every threshold", x="threshold", y=metric)
    _draw_scores(lower, *_check(scores, targets), threshold)
    low, high = lower.get_xlim()
    limits = min(low, thresholds[0]), max(high, thresholds[-1])
    upper.set_xlim(limits)
    lower.set_xlim(limits)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, labelcolor=INK, edgecolor="none")
    return figure


def _draw_scores(ax: Axes, scores: Array, targets: Array, threshold: float) -> None:
    for label in (0, 1):
        own = scores[targets == label]
        right = int(((own > threshold) == bool(label)).sum())
        # Steps of the golden ratio fill the height evenly, however many there are.
        height = np.arange(len(own)) * 0.6180339887 % 1.0
        name = f"class {label}: {right} of {len(own)} right"
        ax.plot(own, height, ".", color=_COLOURS[label], markersize=4, alpha=0.7, label=name)
    ax.axvline(threshold, color="black", linewidth=2.5, label=f"threshold {threshold:.4g}")
    style_axes(ax, "predictions", x="score of class 1")
    finite = scores[np.isfinite(scores)]
    ax.set_xlim(finite.min(initial=-0.02), finite.max(initial=1.02))
    ax.set_ylim(-0.05, 1.05)
    ax.set_yticks([])


def draw_roc(scores: ArrayLike, targets: ArrayLike) -> Figure:
    """Draw how many positives are found against how many negatives are taken for them.

    Args:
        scores: Probabilities of class 1, ``(samples,)``; any scores that rise with it.
        targets: True classes, ``(samples,)``, 0 or 1, both of them present.

    Returns:
        A figure with a canvas of its own, and the area under the curve in its title.

    Raises:
        DataError: If these are not as many targets as scores, a score is not finite, or only one
            class is there.
    """
    scores, targets = _check(scores, targets)
    if len(np.unique(targets)) < 2:
        raise DataError(
            f"Expected `targets` to have both classes, but got {len(targets)} of one class only."
        )
    broken = int((~np.isfinite(scores)).sum())
    if broken:
        raise DataError(f"Expected `scores` to be finite, but {broken} of {len(scores)} are not.")
    false_rate, true_rate, _ = roc_curve(targets, scores)
    area = roc_auc_score(targets, scores)
    figure, (ax,) = make_grid(1, columns=1, pane_size=(4.6, 4.4))
    ax.plot([0, 1], [0, 1], "--", color="#BBBBBB", linewidth=1, label="chance")
    ax.plot(false_rate, true_rate, color=PALETTE["val"], linewidth=1.8, label="model")
    title = f"receiver operating characteristic (AUC {area:.3f})"
    style_axes(ax, title, x="false positive rate", y="true positive rate")
    ax.set_xlim(-0.01, 1.01)
    ax.set_ylim(-0.01, 1.01)
    ax.set_aspect("equal")
    return figure


def draw_batch_predictions(
    targets: Sequence[ArrayLike], scores: Sequence[ArrayLike], *, names: Sequence[str] = ()
) -> Figure:
    """Draw a heat map for each batch: true classes above, scores of each of its slices below.

    Blue is 0, white 0.5, red 1.

    Args:
        targets: True classes of each batch, ``(samples,)`` or ``(samples, 1)``; those of several
            slices, ``(slices, samples)``, are drawn from the first.
        scores: Scores of each batch, ``(samples,)`` or ``(slices, samples)``, in [0, 1], perhaps
            with a last axis of one. Batches may differ in size.
        names: What the batches are called; their numbers if there are none.

    Returns:
        A figure with a canvas of its own, with a pane for each batch.

    Raises:
        DataError: If there are no batches, not as many of one as of the other, or samples do not
            match.
    """
    if not len(scores) or len(targets) != len(scores) or len(names) not in (0, len(scores)):
        raise DataError(
            "Expected as many batches of `targets` as of `scores`, and names for all or none, but "
            f"got {len(targets)}, {len(scores)} and {len(names)}."
        )
    pairs = [
        (_as_rows(target)[:1], _as_rows(score))
        for target, score in zip(targets, scores, strict=True)
    ]
    figure, axes = make_grid(len(pairs), columns=1, pane_size=(7.0, 1.1))
    for index, (ax, (target, score)) in enumerate(zip(axes, pairs, strict=True)):
        if target.shape[1] != score.shape[1]:
            raise DataError(
                f"Expected as many targets as scores, but got {target.shape[1]} and "
                f"{score.shape[1]} in batch {index}."
            )
        rows = np.concatenate([target, target, score])  # twice, so that they stand out
        ax.imshow(rows, cmap="bwr", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        ax.axhline(1.5, color="black", linewidth=1)
        style_axes(ax, names[index] if names else f"batch {index}")
        ax.set_yticks([0.5, 1 + (len(score) + 1) / 2], ["true", "score"])
        ax.set_xticks([])
    axes[-1].set_xlabel("sample", color=INK)
    return figure


def _check(scores: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    scores, targets = np.ravel(np.asarray(scores)), np.ravel(np.asarray(targets))
    if len(scores) != len(targets) or not len(scores):
        raise DataError(
            f"Expected as many `targets` as `scores`, at least one, but got {len(targets)} and "
            f"{len(scores)}."
        )
    if scores.dtype.kind not in "biuf":
        raise DataError(f"Expected `scores` to be numbers, but got some of type {scores.dtype}.")
    if not np.isin(targets, (0, 1)).all():
        odd = targets[~np.isin(targets, (0, 1))][0]
        raise DataError(f"Expected `targets` to be 0 or 1, but got {odd.item()!r}.")
    return scores, targets


def _as_rows(values: ArrayLike) -> Array:
    """Bring values to ``(slices, samples)``."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim > 1 and array.shape[-1] == 1:
        array = array[..., 0]
    return np.atleast_2d(array)

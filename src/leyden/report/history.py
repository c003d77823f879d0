"""All metrics of a run over time, in one figure."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from leyden.calibration.names import is_error
from leyden.report.figures import INK, PALETTE
from leyden.types import Phase

__all__ = ["draw_history"]

_Curve: TypeAlias = tuple[NDArray[Any], NDArray[Any]]

_PANE_SIZE = (4.6, 3.1)  # inches
_MAX_COLUMNS = 3
_MAX_EPOCH_LINES = 50
_MOST_ALIKE = 8  # metrics of one prefix that have panes of their own
_FEW_POINTS = 40  # up to here every point is marked


def draw_history(
    history: Mapping[str, tuple[NDArray[Any], NDArray[Any]]], *, epoch_ends: Sequence[int] = ()
) -> Figure:
    """Draw every metric, its phases together in one pane, with the best validation value marked.

    Best is lowest for a metric whose name is that of an error, such as ``loss``, ``mae`` or
    ``cross_entropy``, and highest for others.

    Args:
        history: Steps and values, ``(rows,)`` each, by ``phase/name``; what has no phase gets a
            pane of its own, ``epoch`` none. Of many that begin alike, such as a norm for every
            layer, all are in one pane.
        epoch_ends: Steps at which to draw a faint line, unless there are too many to tell apart.

    Returns:
        A figure with a canvas of its own; nothing global is touched.
    """
    panes = _group(history)
    if not panes:
        return _draw_nothing()
    columns = 2 if len(panes) == 4 else min(len(panes), _MAX_COLUMNS)
    rows = math.ceil(len(panes) / columns)
    figure = _make_figure(columns, rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True).flat
    for ax, (name, curves) in zip(axes, panes.items(), strict=False):
        _draw_pane(ax, name, curves, epoch_ends)
    for ax in axes[len(panes) :]:
        ax.remove()
    return figure


def _group(history: Mapping[str, _Curve]) -> dict[str, dict[str, _Curve]]:
    """Sort curves into panes, then by phase; losses first, then by name."""
    panes: dict[str, dict[str, _Curve]] = defaultdict(dict)
    alike = Counter(key.partition("/")[0] for key in history)
    for key, curve in history.items():
        phase, _, name = key.partition("/")
        if key == "epoch" or not len(curve[0]):
            continue
        if name and phase in PALETTE:
            panes[name][phase] = curve
        elif name and alike[phase] > _MOST_ALIKE:
            panes[phase][name] = curve
        else:
            panes[key][""] = curve
    order = sorted(panes, key=lambda name: (not is_error(name), name))
    return {name: panes[name] for name in order}


def _make_figure(columns: int, rows: int) -> Figure:
    size = (_PANE_SIZE[0] * columns, _PANE_SIZE[1] * rows)
    figure = Figure(figsize=size, dpi=120, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _draw_nothing() -> Figure:
    figure = _make_figure(1, 1)
    figure.text(0.5, 0.5, "nothing logged yet", ha="center", va="center", color=INK)
    return figure


def _draw_pane(
    ax: Axes, name: str, curves: Mapping[str, _Curve], epoch_ends: Sequence[int]
) -> None:
    if len(epoch_ends) <= _MAX_EPOCH_LINES:
        for step in epoch_ends:
            ax.axvline(step, color="#DDDDDD", linewidth=0.8, zorder=0)
    phases = [phase for phase in ("", *PALETTE) if phase in curves]
    for phase in phases:
        _draw_curve(ax, phase, *curves[phase])
    for name_of_one, (steps, values) in curves.items():
        if name_of_one not in phases:
            ax.plot(steps, np.where(np.isfinite(values), values, np.nan), linewidth=0.8, alpha=0.7)
    if Phase.VAL in curves:
        _mark_best(ax, name, *curves[Phase.VAL])
    ax.set_title(name, loc="left", color=INK, fontsize=11, fontweight="bold")
    ax.set_xlabel("step", color=INK)
    ax.xaxis.set_major_locator(
        MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    )
    ax.tick_params(colors=INK, labelsize=9, labelbottom=True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#BBBBBB")
    if any(phases):
        ax.legend(loc="best", fontsize=9, labelcolor=INK, edgecolor="none", framealpha=0.8)


def _draw_curve(ax: Axes, phase: str, steps: NDArray[Any], values: NDArray[Any]) -> None:
    values = np.where(np.isfinite(values), values, np.nan)  # a gap where there is no number
    colour = PALETTE.get(phase, INK)
    if phase == Phase.TEST:
        last, label = values[-1:], f"test {values[-1]:.4g}"
        ax.plot(steps[-1:], last, "D", color=colour, fillstyle="none", markersize=9, label=label)
        return
    width, marker = (1.6, "o") if len(steps) <= _FEW_POINTS else (1.2, "")
    ax.plot(steps, values, marker=marker, markersize=3, linewidth=width, color=colour, label=phase)


def _mark_best(ax: Axes, name: str, steps: NDArray[Any], values: NDArray[Any]) -> None:
    finite = np.flatnonzero(np.isfinite(values))
    if not finite.size:
        return
    choose = np.argmin if is_error(name) else np.argmax
    best = finite[choose(values[finite])]
    ax.plot(
        steps[best],
        values[best],
        "*",
        color=PALETTE[Phase.VAL],
        markeredgecolor="white",
        markersize=12,
        label=f"best {values[best]:.4g} at {steps[best]}",
        zorder=5,
    )

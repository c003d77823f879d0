"""How results depend on what was tried: a line for each run, across an axis for each choice."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leyden.report.figures import INK, make_grid

__all__ = ["draw_parallel"]

_AXIS_WIDTH, _HEIGHT = 1.9, 4.2  # inches
_LOG_FROM = 50.0  # times the smallest value that the largest is, for a logarithmic axis
_MARGIN = 0.04  # of an axis, beyond its outermost values
_MOST_LABELS = 12  # of an axis
_LONGEST = 18  # letters of a label


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where values are on an axis; its numbers are those of the axis, logarithms perhaps."""

    places: tuple[float, ...]
    labels: Mapping[float, str] | None  # of places; None for numbers
    is_log: bool

    @property
    def limits(self) -> tuple[float, float]:
        low, high = min(self.places), max(self.places)
        spread = (high - low) or 1.0
        return low - _MARGIN * spread, high + _MARGIN * spread

    def heights(self) -> list[float]:
        """Give each value's height, from 0 to 1."""
        low, high = self.limits
        return [(place - low) / (high - low) for place in self.places]


def draw_parallel(
    choices: Sequence[Mapping[str, str]],
    results: Sequence[float],
    *,
    result_name: str = "objective",
    best: int | None = None,
) -> Figure:
    """Draw a line for each run, from what was chosen for it to what it came to.

    Numbers are on a number axis, which is logarithmic if they span much; anything else is on an
    axis of names. The colour is that of the result.

    Args:
        choices: For each run, what was chosen, as text by name; the same names for all.
        results: What each came to.
        result_name: The title of the last axis.
        best: Which run is drawn boldly, if any.

    Returns:
        A figure with a canvas of its own.

    Example:
        >>> figure = draw_parallel([{"lr": "0.1"}, {"lr": "0.001"}], [0.5, 0.25], best=1)
        >>> [axis.get_yscale() for axis in figure.axes[1:]]
        ['log', 'linear']
    """
    names = list(choices[0])
    scales = [_scale([choice[name] for choice in choices]) for name in names]
    scales.append(_scale([repr(float(result)) for result in results]))
    width = max(4.0, _AXIS_WIDTH * len(scales))
    figure, (host,) = make_grid(1, columns=1, pane_size=(width, _HEIGHT))
    _style(host, [*names, result_name])
    for index, scale in enumerate(scales):
        _add_axis(host, scale, index / (len(scales) - 1))
    heights = list(zip(*(scale.heights() for scale in scales), strict=True))
    for index, line in enumerate(heights):
        is_best = index == best
        colour = colormaps["viridis"](0.9 * line[-1])
        host.plot(
            range(len(scales)),
            line,
            color=colour,
            linewidth=3.0 if is_best else 1.2,
            zorder=3 if is_best else 2,
            marker="o" if is_best else None,
        )
    return figure


def _scale(texts: Sequence[str]) -> _Scale:
    numbers = [_number(text) for text in texts]
    if any(number is None for number in numbers):
        named = {text: float(index) for index, text in enumerate(dict.fromkeys(texts))}
        labels = {place: text for text, place in named.items()}
        return _Scale(tuple(named[text] for text in texts), labels, is_log=False)
    values = [number for number in numbers if number is not None]
    is_log = min(values) > 0 and max(values) >= _LOG_FROM * min(values)
    return _Scale(tuple(map(math.log10, values)) if is_log else tuple(values), None, is_log)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _style(host: Axes, names: Sequence[str]) -> None:
    host.set_xlim(0, len(names) - 1)
    host.set_ylim(0, 1)
    host.set_xticks(range(len(names)), [_shorten(name) for name in names])
    host.xaxis.tick_top()
    host.tick_params(colors=INK, labelsize=9, length=0)
    host.set_yticks([])
    host.spines[:].set_visible(False)


def _add_axis(host: Axes, scale: _Scale, place: float) -> None:
    axis: Any = host.twinx()
    axis.spines[["left", "top", "bottom"]].set_visible(False)
    axis.spines["right"].set_position(("axes", place))
    axis.spines["right"].set_color("#BBBBBB")
    axis.tick_params(colors=INK, labelsize=8)
    _set_ticks(axis, scale)
    for label in axis.get_yticklabels():  # they stand where lines meet
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.0})


def _set_ticks(axis: Axes, scale: _Scale) -> None:
    low, high = scale.limits
    if scale.is_log:
        axis.set_yscale("log")
        axis.set_ylim(10**low, 10**high)
        return
    axis.set_ylim(low, high)
    if scale.labels is not None:
        shown = list(scale.labels)[:: math.ceil(len(scale.labels) / _MOST_LABELS)]
        axis.set_yticks(shown, [_shorten(scale.labels[one]) for one in shown])
    elif len({*scale.places}) <= _MOST_LABELS // 2:
        axis.set_yticks(np.unique(scale.places))


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else f"…{text[1 - _LONGEST :]}"

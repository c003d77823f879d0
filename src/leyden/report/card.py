"""A run in one picture."""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from leyden.report.history import draw_history

__all__ = ["draw_card", "format_value"]

_COLUMNS = 3
_MAX_WIDTH = 80  # characters of a value in one line
_SHOWN = 24  # numbers of a list
_FONT_SIZE = 9.0  # points
_CHARACTER = (0.0753, 0.165)  # width and height in inches, of DejaVu Sans Mono in that size
_MARGIN = 0.25  # inches
_GAP = 3  # characters between columns
_DPI = 120


def draw_card(
    blocks: Mapping[str, Mapping[str, Any]],
    history: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
    *,
    epoch_ends: Sequence[int] = (),
) -> Figure:
    """Draw facts about a run in columns, with the history of its metrics beside them.

    Args:
        blocks: Values by name, in blocks by title. All kinds of values are shown.
        history: See ``draw_history``.
        epoch_ends: Likewise.

    Returns:
        A figure with a canvas of its own; nothing global is touched.
    """
    lines = list(_layout(blocks))
    width = max(map(len, lines), default=1) * _CHARACTER[0] + 2 * _MARGIN
    height = len(lines) * _CHARACTER[1] + 2 * _MARGIN
    picture = _picture(draw_history(history, epoch_ends=epoch_ends))
    rows, columns, _ = picture.shape
    tall = max(height, rows / _DPI)
    figure = Figure(figsize=(width + columns / _DPI, tall), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(
        _MARGIN / figure.get_figwidth(),
        1 - _MARGIN / tall,
        "\n".join(lines),
        family="monospace",
        size=_FONT_SIZE,
        va="top",
        linespacing=1.3,
        parse_math=False,  # dollar signs are dollar signs
    )
    figure.figimage(picture, xo=round(width * _DPI), yo=round(tall * _DPI) - rows, origin="upper")
    return figure


def format_value(value: Any) -> str:
    """Write a value shortly: numbers in six digits, lists without brackets, arrays by their shape.

    Args:
        value: Anything.

    Example:
        >>> format_value([32, 64]), format_value(0.25), format_value(None)
        ('32, 64', '0.25', 'None')
    """
    if isinstance(value, float):
        return format(value, ".6g")
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {format_value(one)}" for name, one in value.items())
    if isinstance(value, list | tuple | set | frozenset | range):
        return _format_list(list(value))
    if isinstance(getattr(value, "shape", None), tuple) and value.shape:
        return f"{type(value).__name__} {' x '.join(map(str, value.shape))}"
    return " ".join(str(value).split())


def _format_list(values: list[Any]) -> str:
    if not values:
        return "none"
    shown = [format_value(one) for one in values[:_SHOWN]]
    if len(values) > _SHOWN:
        shown.append(f"… ({len(values)})")
    return ", ".join(shown)


def _picture(figure: Figure) -> NDArray[np.uint8]:
    content = io.BytesIO()
    figure.savefig(content, format="rgba")
    width, height = figure.canvas.get_width_height()
    return np.frombuffer(content.getvalue(), np.uint8).reshape(height, width, 4)


def _layout(blocks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lay each block in columns, filled from top to bottom, one after the other."""
    laid: list[str] = []
    for title, facts in blocks.items():
        items = [line for name, value in facts.items() for line in _wrap(name, value)]
        laid += [*([""] if laid else []), f">>{title}", *_in_columns(items)]
    return laid


def _wrap(name: str, value: Any) -> list[str]:
    first, *rest = textwrap.wrap(format_value(value), _MAX_WIDTH) or [""]
    return [f"{name} = {first}", *(f"    {line}" for line in rest)]


def _in_columns(items: Sequence[str]) -> list[str]:
    num_rows = math.ceil(len(items) / _COLUMNS)
    columns = [items[start : start + num_rows] for start in range(0, len(items), num_rows or 1)]
    widths = [max(map(len, column)) + _GAP for column in columns]
    return [
        "".join(
            column[row].ljust(width)
            for column, width in zip(columns, widths, strict=True)
            if row < len(column)
        ).rstrip()
        for row in range(num_rows)
    ]

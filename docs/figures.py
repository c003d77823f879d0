"""Figures of the pages, drawn from the code that they show whenever the pages are made."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from leyden.data import BatchOrigin, EpochPlan

CUT_LENGTHS = {1: 7, 2: 5, 3: 9, 4: 4}  # rows of each set where batches are cut
CUT_SIZE = 6  # rows of a batch there
LENGTHS = dict.fromkeys(range(1, 9), 8)  # rows of each set
BATCH_SIZE = 10
NUM_EPOCHS = 3
SHUFFLES = ("none", "sets", "rows", "window:4", "full")
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#7A6A00", "#555555")
INK = "#444444"
GAP = 0.8  # between two batches, in rows


def draw_all(folder: Path) -> None:
    """Draw every figure.

    Args:
        folder: Where to; made if it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"order": draw_order(SHUFFLES), "batches": draw_batches(("none", "rows"))}
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "leyden"}):
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def draw_batches(shuffles: Sequence[str]) -> Figure:
    """Draw a few sets, and the batches that are cut from them with each shuffle."""
    figure = Figure(figsize=(8, 0.75 * (1 + len(shuffles))), facecolor="white")
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.02, right=0.98, top=0.99, bottom=0.02)
    ax = figure.subplots()
    rows = {number: [(number, row) for row in range(n)] for number, n in CUT_LENGTHS.items()}
    _draw_line(ax, 0, "sets", {f"set {number}": cells for number, cells in rows.items()})
    for line, shuffle in enumerate(shuffles, 1):
        plan = EpochPlan(CUT_LENGTHS, batch_size=CUT_SIZE, shuffle=shuffle)
        _draw_line(ax, line, f'shuffle="{shuffle}"', {batch.name: _rows(batch) for batch in plan})
    ax.set_xlim(-6, sum(CUT_LENGTHS.values()) + GAP * len(CUT_LENGTHS))
    ax.set_ylim(2.1 * (1 + len(shuffles)) - 0.4, -0.1)
    ax.axis("off")
    return figure


def _rows(batch: BatchOrigin) -> list[tuple[int, int]]:
    return [(piece.set_number, row) for piece in batch.slices for row in piece.rows.tolist()]


def _draw_line(ax: Axes, line: int, title: str, groups: dict[str, list[tuple[int, int]]]) -> None:
    """Draw named groups of rows, one after another."""
    top, place = 2.1 * line, 0.0
    ax.text(-0.4, top + 0.45, title, fontsize=9, color=INK, ha="right", va="center")
    for name, cells in groups.items():
        middle = place + len(cells) / 2
        ax.text(middle, top + 1.0, name, fontsize=8, color=INK, ha="center", va="top")
        for set_number, row in cells:
            colour = _colour(set_number, row, CUT_LENGTHS)
            ax.add_patch(PathPatch(_squares([(place, top)]), facecolor=colour, linewidth=0))
            place += 1
        place += GAP


def draw_order(shuffles: Sequence[str]) -> Figure:
    """Draw the rows of a few epochs in order, for each shuffle."""
    figure = Figure(figsize=(8, 1.15 * len(shuffles) + 0.75), facecolor="white")
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.13, right=0.99, top=0.86, bottom=0.02, hspace=0.35)
    all_axes = figure.subplots(len(shuffles), 1, squeeze=False)[:, 0]
    for ax, shuffle in zip(all_axes, shuffles, strict=True):
        _draw_shuffle(ax, shuffle)
    _draw_legend(figure)
    return figure


def _draw_shuffle(ax: Axes, shuffle: str) -> None:
    cells: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for epoch in range(NUM_EPOCHS):
        plan = EpochPlan(LENGTHS, batch_size=BATCH_SIZE, shuffle=shuffle, epoch=epoch)
        place = 0.0
        for batch in plan:
            for piece in batch.slices:
                for row in piece.rows.tolist():
                    cells.setdefault((piece.set_number, row), []).append((place, epoch))
                    place += 1
            place += GAP
    for (set_number, row), corners in cells.items():
        ax.add_patch(
            PathPatch(_squares(corners), facecolor=_colour(set_number, row, LENGTHS), linewidth=0)
        )
    ax.set_xlim(-0.5, sum(LENGTHS.values()) + GAP * 6 + 0.5)
    ax.set_ylim(NUM_EPOCHS, -0.15)
    ax.set_yticks([epoch + 0.42 for epoch in range(NUM_EPOCHS)])
    ax.set_yticklabels([f"epoch {epoch}" for epoch in range(NUM_EPOCHS)], fontsize=8, color=INK)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.set_title(f'shuffle="{shuffle}"', loc="left", fontsize=9, color=INK, pad=3)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _squares(corners: Sequence[tuple[float, float]]) -> Outline:
    squares = (
        Outline([(x, y), (x + 0.96, y), (x + 0.96, y + 0.84), (x, y + 0.84), (x, y)], closed=True)
        for x, y in corners
    )
    return Outline.make_compound_path(*squares)


def _colour(set_number: int, row: int, lengths: Mapping[int, int]) -> tuple[float, ...]:
    """Colour of a set, from pale for its first row to full for its last."""
    strength = 0.3 + 0.7 * row / (lengths[set_number] - 1)
    return tuple(1 - strength * (1 - part) for part in to_rgb(COLOURS[set_number - 1]))


def _draw_legend(figure: Figure) -> None:
    ax = figure.add_axes((0.13, 0.91, 0.86, 0.06))
    ax.axis("off")
    ax.set_xlim(-0.5, sum(LENGTHS.values()) + GAP * 6 + 0.5)
    ax.set_ylim(1, 0)
    step = 8.6
    for set_number, length in LENGTHS.items():
        left = (set_number - 1) * step
        ax.text(left, 0.38, f"set {set_number}", fontsize=8, color=INK, va="bottom")
        for row in range(length):
            square = _squares([(left + 0.8 * row, 0.5)])
            ax.add_patch(
                PathPatch(square, facecolor=_colour(set_number, row, LENGTHS), linewidth=0)
            )

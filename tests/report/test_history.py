"""All metrics of a run over time."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from leyden.report import draw_history

Curve = tuple[NDArray[Any], NDArray[Any]]


def make_curve(*values: float) -> Curve:
    return np.arange(len(values)) * 10, np.array(values)


def get_labels(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def get_titles(figure: Figure) -> list[str]:
    return [ax.get_title(loc="left") for ax in figure.axes]


def test_phases_share_a_pane_and_losses_come_first() -> None:
    curve = make_curve(1, 2)
    keys = ["epoch", "val/accuracy", "train/accuracy", "lr-Adam", "train/loss", "custom/norm"]
    figure = draw_history(dict.fromkeys(keys, curve))
    assert get_titles(figure) == ["loss", "accuracy", "custom/norm", "lr-Adam"]
    assert get_labels(figure.axes[1])[:2] == ["train", "val"]
    assert get_labels(figure.axes[3]) == []
    assert {ax.get_xlabel() for ax in figure.axes} == {"step"}


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("loss", "best 0.5 at 10"),
        ("TotalLoss", "best 0.5 at 10"),
        ("mean_error", "best 0.5 at 10"),
        ("accuracy", "best 2 at 20"),
    ],
)
def test_best_validation_value_is_named(name: str, best: str) -> None:
    curve = make_curve(1.0, 0.5, 2.0, np.nan, np.inf)
    (ax,) = draw_history({f"val/{name}": curve}).axes
    assert get_labels(ax) == ["val", best]
    x, y = np.asarray(ax.get_lines()[-1].get_xydata())[0]
    assert f"best {y:.4g} at {x:.0f}" == best


def test_train_values_have_no_best() -> None:
    (ax,) = draw_history({"train/loss": make_curve(1.0, 0.5)}).axes
    assert get_labels(ax) == ["train"]


def test_validation_without_a_number_has_no_best() -> None:
    (ax,) = draw_history({"val/loss": make_curve(np.nan, np.nan)}).axes
    assert get_labels(ax) == ["val"]


def test_test_value_is_a_marker_with_its_value() -> None:
    (ax,) = draw_history({"test/loss": make_curve(0.75, 0.5), "train/loss": make_curve(1, 2)}).axes
    assert get_labels(ax) == ["train", "test 0.5"]


def test_epoch_ends_are_lines_unless_too_many() -> None:
    history = {"lr": make_curve(1, 2)}
    assert len(draw_history(history, epoch_ends=[5, 10]).axes[0].get_lines()) == 3
    assert len(draw_history(history, epoch_ends=range(51)).axes[0].get_lines()) == 1


@pytest.mark.parametrize(
    ("panes", "grid"),
    [(1, (1, 1)), (2, (1, 2)), (3, (1, 3)), (4, (2, 2)), (5, (2, 3)), (7, (3, 3))],
)
def test_panes_form_a_grid(panes: int, grid: tuple[int, int]) -> None:
    figure = draw_history({f"metric{i}": make_curve(1, 2) for i in range(panes)})
    spec = figure.axes[0].get_subplotspec()
    assert spec is not None
    assert spec.get_gridspec().get_geometry() == grid
    assert len(figure.axes) == panes


@pytest.mark.parametrize("history", [{}, {"epoch": make_curve(0, 1)}, {"train/loss": make_curve()}])
def test_empty_history_says_so(history: dict[str, Curve]) -> None:
    figure = draw_history(history)
    assert [text.get_text() for text in figure.texts] == ["nothing logged yet"]
    assert figure.axes == []


def test_history_is_left_as_it_was() -> None:
    steps, values = make_curve(1.0, np.inf)
    draw_history({"val/loss": (steps, values)})
    assert values.tolist() == [1.0, np.inf]


def test_nothing_global_is_touched() -> None:
    before = dict(mpl.rcParams)
    draw_history({"val/loss": make_curve(1.0, 2.0)})
    assert dict(mpl.rcParams) == before


def test_steps_are_whole_numbers_however_few_there_are() -> None:
    for count in (1, 2, 3):
        steps = np.arange(count)
        [ax] = draw_history({"train/loss": (steps, np.ones(count))}).axes
        assert all(tick == int(tick) for tick in ax.get_xticks())

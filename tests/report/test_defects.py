"""Defects of an older system in its pictures; none of them is here."""

import numpy as np
import pytest

from leyden.report import describe, draw_batch_predictions, draw_histograms, draw_history
from leyden.report.card import draw_card


# D19: of errors such as mae and mse the highest value was the best.
@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("loss", 0.5),
        ("mae", 0.5),
        ("mean_squared_error", 0.5),
        ("binary_crossentropy", 0.5),
        ("cross_entropy", 0.5),
        ("kl_divergence", 0.5),
        ("f1", 2.0),
    ],
)
def test_best_value_of_an_error_is_the_lowest(name: str, best: float) -> None:
    curve = (np.arange(3), np.array([1.0, 0.5, 2.0]))
    (ax,) = draw_history({f"val/{name}": curve}).axes
    assert ax.get_lines()[-1].get_ydata() == best


# D41: whatever was no list was missing from the summary of a run.
def test_values_of_every_kind_are_on_the_card() -> None:
    facts = {"number": 3, "rate": 2e-4, "text": "adam", "list": [1, 2], "none": None, "is": True}
    text = draw_card({"MODEL": facts}, {}).texts[0].get_text()
    for line in ("number = 3", "rate = 0.0002", "text = adam", "list = 1, 2", "none = None"):
        assert line in text


# D45: titles of two panes were exchanged.
def test_each_pane_has_the_title_of_what_is_in_it() -> None:
    arrays = {"train": np.full(10, 1.0), "inference": np.linspace(5.0, 9.0, 10)}
    for ax in draw_histograms(arrays).axes:
        (name,) = [name for name in arrays if ax.get_title(loc="left").startswith(name)]
        low, high = arrays[name].min(), arrays[name].max()
        left, right = ax.get_xlim()
        assert low - 1 <= left < right <= high + 1


# D46: a single batch could not be drawn.
def test_one_batch_has_one_pane() -> None:
    assert len(draw_batch_predictions([[0, 1]], [[0.2, 0.7]]).axes) == 1


# D47: a history without a legend, or without a best value to mark, could not be drawn.
def test_history_without_legend_or_best_value_is_drawn() -> None:
    curve = (np.arange(3), np.array([3.0, 2.0, 1.0]))
    (ax,) = draw_history({"lr-Adam": curve}).axes
    assert ax.get_legend() is None
    assert np.array_equal(ax.get_lines()[0].get_ydata(), curve[1])
    (ax,) = draw_history({"val/loss": (curve[0], np.full(3, np.nan))}).axes
    assert len(ax.get_lines()) == 1


# D52: a value of 42069 meant that it was to be left out.
def test_no_value_means_that_it_is_left_out() -> None:
    held = {"seed": 42069, "nested": {"list": [1, 42069, (42069,)], "zero": 0, "empty": {}}}
    assert describe(held) == {
        "nested": {"list": [1, 42069, [42069]], "zero": 0, "empty": {}},
        "seed": 42069,
    }
    assert held["nested"] == {"list": [1, 42069, (42069,)], "zero": 0, "empty": {}}

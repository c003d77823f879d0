"""A run in one picture."""

import io
import math

import matplotlib as mpl
import numpy as np
import torch

from leyden.report import draw_card
from leyden.report.card import format_value


def lines_of(blocks: dict[str, dict[str, object]]) -> list[str]:
    return draw_card(blocks, {}).texts[0].get_text().split("\n")


def test_facts_fill_three_columns_from_top_to_bottom() -> None:
    facts: dict[str, object] = {"a": 1, "bb": 2.5, "c": [32, 64], "d": None, "e": True}
    assert lines_of({"MODEL": facts, "TRAIN": {"x": "y"}}) == [
        ">>MODEL",
        "a = 1      c = 32, 64   e = True",
        "bb = 2.5   d = None",
        "",
        ">>TRAIN",
        "x = y",
    ]


def test_long_values_are_wrapped() -> None:
    lines = lines_of({"MODEL": {"a": " ".join(["word"] * 30)}})
    assert lines[1].startswith("a = word word")
    assert max(map(len, lines)) <= 2 * 84 + 3  # a wrapped value goes on in the next column
    assert sum(line.count("word") for line in lines) == 30


def test_values_of_all_kinds_are_shown() -> None:
    values = [1e-4, "a\nb", (1, 2), [], {"a": {"b": 0.5}}, torch.zeros(2, 3), np.float32(0.25)]
    assert [format_value(value) for value in values] == [
        "0.0001",
        "a b",
        "1, 2",
        "none",
        "a: b: 0.5",
        "Tensor 2 x 3",
        "0.25",
    ]
    assert format_value(range(30)).endswith("22, 23, … (30)")
    assert format_value(math.nan) == "nan"


def test_history_lies_beside_the_text_and_nothing_covers_it() -> None:
    history = {"train/loss": (np.arange(3), np.array([3.0, 2.0, 1.0]))}
    figure = draw_card({"MODEL": {"a": 1}}, history)
    (picture,) = figure.images
    width, height = figure.canvas.get_width_height()
    rows, columns = np.asarray(picture.get_array()).shape[:2]
    text = figure.texts[0].get_window_extent()
    assert text.x1 <= width - columns
    assert rows <= height
    assert (np.asarray(picture.get_array())[..., :3] < 255).any()


def test_text_of_many_lines_is_all_on_the_card() -> None:
    figure = draw_card({"MODEL": {f"{i:03}": "x" * 70 for i in range(120)}}, {})
    extent, (width, height) = figure.texts[0].get_window_extent(), figure.canvas.get_width_height()
    assert extent.x0 >= 0
    assert extent.y0 >= 0
    assert extent.y1 <= height
    assert extent.x1 <= width - np.asarray(figure.images[0].get_array()).shape[1]


def test_dollar_signs_are_dollar_signs() -> None:
    assert "a = $x$ $" in lines_of({"MODEL": {"a": "$x$ $"}})
    draw_card({"MODEL": {"a": "$\\wrong$"}}, {}).savefig(io.BytesIO())


def test_nothing_global_is_touched() -> None:
    before = dict(mpl.rcParams)
    draw_card({"MODEL": {"a": 1}}, {})
    assert dict(mpl.rcParams) == before

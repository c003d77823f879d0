"""What is on the axes of the picture of a sweep, and where its lines go."""

from typing import Any

import numpy as np
import pytest

from leyden.report import draw_parallel

CHOICES = [
    {"optimizer.lr": "0.001", "model": "cnn", "data.batch_size": "16"},
    {"optimizer.lr": "0.1", "model": "mlp", "data.batch_size": "32"},
    {"optimizer.lr": "0.01", "model": "cnn", "data.batch_size": "24"},
]


def test_each_choice_has_its_axis_and_the_result_the_last() -> None:
    figure = draw_parallel(CHOICES, [0.5, 0.25, 1.0], result_name="val/loss")
    host, *axes = figure.axes
    names = [label.get_text() for label in host.get_xticklabels()]
    assert names == ["optimizer.lr", "model", "data.batch_size", "val/loss"]
    assert [axis.get_yscale() for axis in axes] == ["log", "linear", "linear", "linear"]
    assert [label.get_text() for label in axes[1].get_yticklabels()] == ["cnn", "mlp"]
    assert axes[2].get_yticks().tolist() == [16.0, 24.0, 32.0]
    spines: list[Any] = [axis.spines["right"] for axis in axes]
    places = [spine.get_position()[1] for spine in spines]
    assert places == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_a_line_meets_each_axis_at_its_value() -> None:
    figure = draw_parallel(CHOICES, [0.5, 0.25, 1.0])
    figure.canvas.draw()
    host, *axes = figure.axes
    values = [[0.001, 0, 16, 0.5], [0.1, 1, 32, 0.25], [0.01, 0, 24, 1.0]]
    for line, met in zip(host.lines, values, strict=True):
        on_host = host.transData.transform(np.column_stack(line.get_data()))[:, 1]
        on_axes = [
            axis.transData.transform((0, value))[1] for axis, value in zip(axes, met, strict=True)
        ]
        np.testing.assert_allclose(on_host, on_axes, atol=0.5)  # pixels


def test_the_best_run_is_bold_and_the_others_coloured_by_their_result() -> None:
    figure = draw_parallel(CHOICES, [0.5, 0.25, 1.0], best=1)
    lines = figure.axes[0].lines
    assert [line.get_linewidth() for line in lines] == [1.2, 3.0, 1.2]
    assert len({line.get_color() for line in lines}) == 3


def test_equal_values_and_long_names_have_their_places() -> None:
    choices = [{"a.very.long.name.of.a.key": "true", "seed": "1"} for _ in range(2)]
    figure = draw_parallel(choices, [1.0, 1.0])
    assert figure.axes[0].get_xticklabels()[0].get_text() == "…ong.name.of.a.key"
    for line in figure.axes[0].lines:
        assert np.isfinite(line.get_ydata()).all()


def test_labels_can_be_read_where_lines_cross_them() -> None:
    choices = [{"lr": "0.1", "model": "cnn"}, {"lr": "0.001", "model": "mlp"}]
    for axis in draw_parallel(choices, [0.5, 0.25], best=1).axes[1:]:
        for label in axis.get_yticklabels():
            box = label.get_bbox_patch()
            assert box is not None
            assert box.get_facecolor() == (1.0, 1.0, 1.0, 1.0)

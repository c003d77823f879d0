from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel

from leyden.data import TimeWindows
from leyden.errors import DataError
from leyden.experiment.rows import arrange, check_shapes, input_names, read_rows
from leyden.modules import ClassifierModule
from leyden.types import Array

SHAPES = {"series": (12, 2), "meta": (3,)}
NAMES = tuple(SHAPES)
SERIES, META = np.zeros((5, 12, 2), np.float32), np.ones((5, 3))


def module_of(shapes: Any) -> ClassifierModule:
    return ClassifierModule(torch.nn.Identity(), input_shape=shapes, num_classes=2)


def test_a_module_knows_its_inputs_by_their_shapes() -> None:
    assert input_names(module_of(SHAPES)) == NAMES
    assert input_names(module_of((12, 2))) == ("",)
    assert input_names(ClassifierModule("mlp")) is None  # it has seen no data yet
    assert input_names(BoringModel()) is None


def test_inputs_are_in_the_order_of_training() -> None:
    given = {"meta": META, "series": SERIES}
    assert list(arrange(given, NAMES)) == ["series", "meta"]
    assert list(arrange(given, None)) == ["meta", "series"]
    found = read_rows({"meta": META.tolist(), "series": torch.from_numpy(SERIES)}, NAMES)
    assert {name: array.shape for name, array in found.items()} == {
        "series": (5, 12, 2),
        "meta": (5, 3),
    }


@pytest.mark.parametrize(
    ("rows", "names", "told"),
    [
        ({"series_": SERIES, "meta": META}, NAMES, "but got 'series_'[.] Did you mean 'series'[?]"),
        ({"series": SERIES, "meta": META, "x": META}, NAMES, "got 'x'[.] Known: meta, series[.]"),
        ({"meta": META}, NAMES, "called series, meta, but got no series[.] Add what is missing"),
        ({}, NAMES, "but got no series, meta[.]"),
        (SERIES, NAMES, "called series, meta, but got one array without a name[.] Pass a dict"),
        ([SERIES, META], NAMES, "got one array without a name"),
        ({"a": SERIES}, ("",), "one array of rows, without a name, but got a dictionary of a[.]"),
        ({}, ("",), "got a dictionary of nothing[.] Pass the array alone"),
        ({}, None, "at least one row of numbers to predict from, but got an empty dictionary"),
        ({"a": SERIES[:3], "b": META}, None, "rows of every input, but got 3 in 'a', 5 in 'b'[.]"),
    ],
)
def test_inputs_that_were_not_trained_on_are_refused(
    rows: Any, names: tuple[str, ...] | None, told: str
) -> None:
    with pytest.raises(DataError, match=told):
        read_rows(rows, names)


@pytest.mark.parametrize(
    ("series", "meta", "windows", "told"),
    [
        (SERIES.reshape(5, 2, 12), META, None, r"\(12, 2\) in 'series' .*, but got \(2, 12\)[.]"),
        (SERIES, META[:, 0], None, r"rows of shape \(3,\) in 'meta' .*, but got \(\)[.]"),
        (SERIES[:, :11], META, TimeWindows(12), r"windows of shape \(12, 2\) .* got \(11, 2\)"),
        (SERIES, META, TimeWindows(12, starts=(1,)), r"to cut into windows .* got \(12, 2\)"),
        (SERIES[:, 0, 0], META, TimeWindows(12), r"windows of shape \(12, 2\) .*, but got \(\)"),
    ],
)
def test_rows_of_other_shapes_are_refused(
    series: Array, meta: Array, windows: TimeWindows | None, told: str
) -> None:
    rows = {"series": torch.from_numpy(series), "meta": torch.from_numpy(meta)}
    with pytest.raises(DataError, match=told):
        check_shapes(rows, module_of(SHAPES), windows)


def test_rows_of_which_windows_are_as_in_training_are_fine() -> None:
    rows = {"series": torch.zeros(5, 30, 2), "meta": torch.from_numpy(META)}
    check_shapes(rows, module_of(SHAPES), TimeWindows(12, stride=5, starts=(3,)))
    check_shapes(rows, BoringModel(), None)  # which does not know

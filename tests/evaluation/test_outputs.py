"""What steps return gets names and rows."""

from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch

from leyden.errors import DataError
from leyden.evaluation.outputs import count_rows, find_targets, name_outputs

Pair = namedtuple("Pair", "mean spread")


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (torch.zeros(2), ["predictions"]),
        ((torch.zeros(2), torch.zeros(2, 3)), ["predictions_0", "predictions_1"]),
        (Pair(torch.zeros(2), torch.zeros(2)), ["mean", "spread"]),
        ({"a": torch.zeros(2), "b": {"c": np.zeros(2)}, "d": None}, ["a", "b.c"]),
        ({"labels": {"loss": torch.zeros(2)}}, ["labels.loss"]),
        (None, []),
    ],
)
def test_everything_has_a_name(outputs: Any, names: list[str]) -> None:
    assert list(name_outputs(outputs, 2)) == names


def test_single_values_and_lists_are_rows() -> None:
    found = name_outputs({"loss": torch.tensor(0.5), "of": "x", "id": ["a", "b"]}, 2)
    assert {name: array.tolist() for name, array in found.items()} == {
        "loss": [0.5, 0.5],
        "of": ["x", "x"],
        "id": ["a", "b"],
    }


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_single(dtype: torch.dtype) -> None:
    found = name_outputs(torch.full((2,), 0.5, dtype=dtype, requires_grad=True), 2)["predictions"]
    assert found.dtype == np.float32
    assert found.tolist() == [0.5, 0.5]


def test_what_is_not_one_for_each_row_is_refused() -> None:
    with pytest.raises(DataError, match=r"`a` for each of the 4 rows of a batch, but .* \(3, 2\)"):
        name_outputs({"a": torch.zeros(3, 2)}, 4)
    with pytest.raises(DataError, match="Expected `a` to be numbers or texts, but got object"):
        name_outputs({"a": object()}, 4)


def test_targets_are_found_in_tuples_and_dictionaries() -> None:
    assert find_targets((1, 2, 3)) == 2
    assert find_targets({"image": 1, "target": 2}) == 2
    assert find_targets({"image": 1}) is None
    assert find_targets([1]) is None


def test_rows_are_counted_by_the_first_tensor() -> None:
    assert count_rows({"name": "x", "image": torch.zeros(5, 2)}) == 5
    with pytest.raises(DataError, match="batches with a tensor"):
        count_rows({"name": "x"})

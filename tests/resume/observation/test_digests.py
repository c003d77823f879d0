"""Digests: equal if and only if the values are."""

import math

import numpy as np
import pytest
import torch

from leyden.resume.observation.digests import digests_of

ONE = torch.tensor([1.0, 2.0, 3.0, 4.0])


def digest(value: object) -> str:
    ((found, _),) = digests_of(value).values()
    return found


@pytest.mark.parametrize(
    "other",
    [
        torch.tensor([1.0, 2.0, 3.0, 4.0000005]),
        ONE.double(),
        ONE.reshape(2, 2),
        ONE.int(),
        ONE.numpy().astype(np.float64),
    ],
    ids=["one bit", "dtype", "shape", "integers", "array"],
)
def test_other_values_have_other_digests(other: object) -> None:
    assert digest(other) != digest(ONE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.bool, torch.complex64, torch.uint8])
def test_equal_tensors_of_any_kind_have_equal_digests(dtype: torch.dtype) -> None:
    values = ONE.to(dtype)
    strided = torch.stack([values, values], dim=1)[:, 0]
    assert not strided.is_contiguous()
    assert digest(strided) == digest(values.clone())


def test_not_a_number_and_minus_zero_are_told_apart_by_their_bits() -> None:
    assert digest(torch.tensor(math.nan)) == digest(torch.tensor(math.nan))
    assert digest(torch.tensor(0.0)) != digest(torch.tensor(-0.0))
    assert digest(math.nan) == digest(float("nan"))


def test_tensors_without_elements_and_sparse_ones_have_digests() -> None:
    assert digest(torch.zeros(0, 3)) != digest(torch.zeros(0, 4))
    assert digest(ONE.to_sparse()) == digest(ONE)


def test_names_say_where_in_a_structure_a_value_is() -> None:
    found = digests_of({"x": [ONE, 3], "name": "a" * 100}, "batch")
    assert set(found) == {"batch['x'][0]", "batch['x'][1]", "batch['name']"}
    assert found["batch['x'][0]"][1] == "float32 (4,): 1.0 2.0 3.0, sum 10.0"
    assert found["batch['x'][1]"] == ("3", "3")
    assert digest("a" * 100) != digest("a" * 101)


def test_objects_count_by_their_type_only() -> None:
    assert digest(object()) == digest(object())
    assert digest(np.array([None])) == "object"

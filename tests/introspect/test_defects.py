"""Defects of an older system in looking at weights; none of them is here."""

import math

import pytest
import torch

from leyden.introspect import check_tensors


# D42: a fraction of zero, to be told of a single value, was an overflow.
def test_fraction_of_zero_is_taken() -> None:
    report = check_tensors({"w": torch.tensor([0.0, 1.0, 1.0, 1.0])}, dead_fraction=0.0)
    assert str(report) == "25% dead (1 of 4) -- 'w'"


# D43: the number of values was printed with a percent sign.
def test_counts_are_counts_and_shares_are_shares() -> None:
    values = torch.ones(10_000)
    values[:3] = math.nan
    assert str(check_tensors({"w": values})) == "0.03% NaN (3 of 10,000) -- 'w'"


# D44: the fraction of large weights that is bearable made no difference, and the text said NaN.
@pytest.mark.parametrize(("fraction", "is_told"), [(0.1, True), (0.5, False)])
def test_fraction_of_large_weights_decides(fraction: float, is_told: bool) -> None:
    values = torch.tensor([5.0, 1.0, 1.0, 1.0])
    report = check_tensors({"w": values}, large_fraction=fraction)
    assert report.is_healthy is not is_told
    text = str(report)
    assert text.startswith("25% large (1 of 4)" if is_told else "Nothing dead, NaN, Inf or large")
    assert ("large is above 3 in more than 0.5" in text) is not is_told

import math
from typing import Any

import pytest
import torch
from torch import nn

from leyden.introspect import Ailment, activations, check_health, check_tensors


def make_layer(values: list[float]) -> nn.Module:
    layer = nn.Linear(len(values), 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([values]))
    return layer


def test_each_ailment_is_counted() -> None:
    values = [0.0, 1e-8, -1e-8, 1.0, -3.5, 4.0, math.nan, math.inf, -math.inf, 3.0]
    report = check_health(make_layer(values))
    (weight,) = report.tensors
    assert (weight.num_values, weight.num_dead, weight.num_nan) == (10, 3, 1)
    assert (weight.num_inf, weight.num_large) == (2, 2)
    assert [weight.count(ailment) for ailment in Ailment] == [3, 1, 2, 2]
    assert str(report) == (
        "30% dead (3 of 10) -- 'weight'\n"
        "10% NaN (1 of 10) -- 'weight'\n"
        "20% Inf (2 of 10) -- 'weight'\n"
        "20% large (2 of 10) -- 'weight'"
    )
    assert not report.is_healthy


def test_thresholds_and_fractions_decide() -> None:
    layer = make_layer([0.01, 1.0, 2.0, 2.0])
    assert check_health(layer).is_healthy
    report = check_health(layer, dead_threshold=0.1, large_threshold=1.5)
    assert [str(one.ailment) for one in report.findings] == ["dead", "large"]
    limits: dict[str, Any] = {"dead_threshold": 0.1, "dead_fraction": 0.25, "large_threshold": 1.5}
    report = check_health(layer, **limits, large_fraction=0.49)
    assert str(report) == "50% large (2 of 4) -- 'weight'"  # a quarter is bearable: not above it


def test_fraction_of_zero_tells_of_a_single_value() -> None:
    values = torch.ones(100_000)
    values[0] = 0
    report = check_tensors({"w": values}, dead_fraction=0)
    assert str(report) == "0.001% dead (1 of 100,000) -- 'w'"
    assert check_tensors({"w": values}).is_healthy


def test_healthy_model_is_told_so() -> None:
    report = check_health(make_layer([1.0]))
    assert str(report) == (
        "Nothing dead, NaN, Inf or large in 1 tensors (dead is below 1e-07 in more than 0.001 of a "
        "tensor, large is above 3 in more than 0.001)."
    )


def test_fractions_of_all_weights_go_by_their_number() -> None:
    tensors = {"a": torch.tensor([0.0, 1.0, 1.0]), "b": torch.tensor([0.0]), "c": torch.arange(3)}
    report = check_tensors(tensors)
    assert [tensor.name for tensor in report.tensors] == ["a", "b"]
    assert report.fraction(Ailment.DEAD) == 0.5
    assert report.tensors[0].fraction(Ailment.DEAD) == pytest.approx(1 / 3)


def test_layers_are_chosen() -> None:
    model = nn.Sequential(make_layer([0.0]), make_layer([0.0]))
    assert [tensor.name for tensor in check_health(model, "1").tensors] == ["1.weight"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64])
def test_any_kind_of_number_is_counted(dtype: torch.dtype) -> None:
    values: Any = torch.tensor([0.0, math.nan, math.inf, 5.0], dtype=dtype)
    (found,) = check_tensors({"w": values}).tensors
    assert (found.num_dead, found.num_nan, found.num_inf, found.num_large) == (1, 1, 1, 1)


def test_model_without_weights_is_healthy() -> None:
    assert check_health(nn.ReLU()).is_healthy
    assert check_health(nn.ReLU()).fraction(Ailment.NAN) == 0.0
    assert check_tensors({"none": torch.zeros(0)}).is_healthy


def test_activations_are_checked_too() -> None:
    model = nn.Sequential(nn.Identity(), nn.ReLU())
    found = check_tensors(activations(model, torch.tensor([[-1.0, 2.0, -3.0, 0.5]])))
    assert str(found) == "50% dead (2 of 4) -- '1'"

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import nn

from leyden.callbacks import WeightMonitor
from leyden.errors import ConfigError
from leyden.lifecycle import Every

Quick = Callable[..., Trainer]


def by_hand(module: nn.Module) -> dict[str, float]:
    values = {name: one.detach().double().flatten() for name, one in module.named_parameters()}
    norms = {name: value.square().sum().sqrt().item() for name, value in values.items()}
    norms["total"] = torch.cat(list(values.values())).square().sum().sqrt().item()
    return {f"weight_norm/{name}": norm for name, norm in norms.items()}


@pytest.mark.parametrize(
    "every", [Every(batches=1), Every(epochs=1), Every(validations=1)], ids=str
)
def test_norms_are_those_after_the_step(quick: Quick, every: Every) -> None:
    monitor, module = WeightMonitor(every), BoringModel()
    quick(monitor).fit(module)
    assert monitor.figures == pytest.approx(by_hand(module), rel=1e-6)
    assert monitor.step == 2


def test_validations_within_an_epoch_count(quick: Quick) -> None:
    monitor = WeightMonitor(Every(validations=2))
    quick(monitor, limit_train_batches=6, val_check_interval=2).fit(BoringModel())
    assert monitor.step == 3


def test_figures_are_chosen(quick: Quick) -> None:
    options: dict[str, Any] = {"layers": "*bias", "norm": 1, "scope": "layer", "name": "w"}
    monitor, module = WeightMonitor(Every(batches=1), **options), BoringModel()
    quick(monitor).fit(module)
    expected = module.layer.bias.detach().double().abs().sum().item()
    assert monitor.figures == pytest.approx({"w/layer": expected, "w/total": expected}, rel=1e-6)


def test_frozen_weights_are_recorded_too(quick: Quick) -> None:
    monitor, module = WeightMonitor(Every(batches=1)), BoringModel()
    module.layer.bias.requires_grad_(False)
    quick(monitor).fit(module)
    assert monitor.figures == pytest.approx(by_hand(module), rel=1e-6)


def test_impossible_norm_is_told() -> None:
    with pytest.raises(ConfigError, match="`norm` to be above zero, but got -1"):
        WeightMonitor(norm=-1)

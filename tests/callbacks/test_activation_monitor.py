from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric
from typing_extensions import override

from leyden.callbacks import ActivationMonitor
from leyden.lifecycle import Every

Quick = Callable[..., Trainer]

LOADER: Any = DataLoader(torch.ones(4, 32), batch_size=4)  # type: ignore[arg-type]


class Watched(BoringModel):
    """Keeps what its layers return."""

    layer: Any

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(32, 8), nn.ReLU(inplace=True), nn.Linear(8, 2))
        self.metric = MeanMetric(nan_strategy="disable")
        self.criterion = nn.MSELoss()

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        with torch.no_grad():
            first = nn.functional.linear(batch, self.layer[0].weight, self.layer[0].bias)
        self.seen = {"layer.0": first, "layer.1": first.relu()}
        out = self.layer(batch)
        self.seen["layer.2"] = out.detach()
        self.metric(out.mean())
        loss: Tensor = self.criterion(out, torch.zeros_like(out))
        return loss


def test_figures_are_those_of_the_outputs(quick: Quick) -> None:
    monitor, module = ActivationMonitor(Every(batches=1)), Watched()
    quick(monitor).fit(module)
    expected = {}
    for name, output in module.seen.items():
        values = output.double()
        expected[f"activation/mean/{name}"] = values.mean().item()
        expected[f"activation/std/{name}"] = values.std(correction=0).item()
        expected[f"activation/zeros/{name}"] = (values == 0).double().mean().item()
        expected[f"activation/nonfinite/{name}"] = 0.0
    assert monitor.figures == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert monitor.figures["activation/zeros/layer.1"] > 0


def test_layers_are_chosen_and_so_is_the_name(quick: Quick) -> None:
    monitor = ActivationMonitor(Every(batches=1), layers=["layer", -2], name="out")
    quick(monitor).fit(Watched())
    assert {name.partition("/")[0] for name in monitor.figures} == {"out"}
    assert {name.split("/")[2] for name in monitor.figures} == {"layer"}  # the metric is one number


def test_layers_are_watched_in_steps_that_are_due_only(quick: Quick) -> None:
    watched = list[bool]()
    module = Watched()

    class Reading(Callback):
        @override
        def on_before_zero_grad(self, *_: Any) -> None:
            watched.append(bool(module.layer[0]._forward_hooks))

    quick(ActivationMonitor(Every(batches=2)), Reading(), limit_train_batches=5).fit(module)
    assert watched == [False, True, False, True, False]
    assert not any(part._forward_hooks for part in module.modules())


class Failing(Watched):
    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        super().training_step(batch, batch_idx)
        raise KeyError("out of luck")


def test_failing_step_leaves_no_hooks(quick: Quick) -> None:
    monitor, module = ActivationMonitor(Every(batches=1)), Failing()
    with pytest.raises(KeyError, match="out of luck"):
        quick(monitor).fit(module)
    assert not any(part._forward_hooks for part in module.modules())
    assert monitor.figures == {}


class Broken(Watched):
    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        batch = batch.clone()
        batch[0] = torch.nan
        return super().training_step(batch, batch_idx)


def test_what_is_not_finite_is_counted(quick: Quick) -> None:
    monitor, module = ActivationMonitor(Every(batches=1)), Broken()
    quick(monitor, limit_train_batches=1, limit_val_batches=0).fit(module, LOADER)
    assert monitor.figures["activation/nonfinite/layer.0"] == 0.25

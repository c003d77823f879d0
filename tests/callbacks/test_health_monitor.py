import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from typing_extensions import override

from leyden.callbacks import HealthMonitor
from leyden.lifecycle import Every

Quick = Callable[..., Trainer]


class Ill(BoringModel):
    """Falls ill by and by: a weight's value by the epoch before whose validation it is set."""

    def __init__(self, values: dict[int, float]) -> None:
        super().__init__()
        torch.nn.init.constant_(self.layer.weight, 0.5)
        torch.nn.init.constant_(self.layer.bias, 0.5)
        self.values = values

    @override
    def on_validation_start(self) -> None:
        value = self.values.get(self.current_epoch)
        if value is not None and not self.trainer.sanity_checking:
            with torch.no_grad():
                self.layer.bias[0] = value

    @override
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.0)


def fit(quick: Quick, monitor: HealthMonitor, module: LightningModule, **options: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        quick(monitor, **options).fit(module)
    return [str(one.message) for one in told if "may be ill" in str(one.message)]


def test_each_tensor_and_kind_is_told_once(quick: Quick) -> None:
    monitor = HealthMonitor()
    told = fit(quick, monitor, Ill({1: 0.0, 2: 5.0, 3: 0.0, 4: 5.0}), max_epochs=5)
    assert told == [
        "Weights that may be ill:\n50% dead (1 of 2) -- 'layer.bias'",
        "Weights that may be ill:\n50% large (1 of 2) -- 'layer.bias'",
    ]
    assert str(monitor.report) == "50% large (1 of 2) -- 'layer.bias'"
    assert monitor.figures == {
        "health/dead": 0.0,
        "health/NaN": 0.0,
        "health/Inf": 0.0,
        "health/large": pytest.approx(1 / 66),
    }


def test_healthy_weights_are_not_told_of(quick: Quick) -> None:
    monitor = HealthMonitor()
    assert fit(quick, monitor, Ill({})) == []
    assert monitor.report is not None
    assert monitor.report.is_healthy


@pytest.mark.parametrize(
    ("value", "kind"), [(torch.nan, "NaN"), (torch.inf, "Inf"), (-torch.inf, "Inf")]
)
def test_broken_weights_are_told_of(quick: Quick, value: float, kind: str) -> None:
    (told,) = fit(quick, HealthMonitor(), Ill({0: value}))
    assert f"50% {kind} (1 of 2) -- 'layer.bias'" in told


def test_thresholds_and_layers_are_chosen(quick: Quick) -> None:
    limits = HealthMonitor(dead_threshold=0.6, dead_fraction=0.9, large_threshold=0.4)
    assert len(fit(quick, limits, Ill({}))[0].splitlines()) == 5
    bearable = HealthMonitor(
        dead_threshold=0.6, dead_fraction=1, large_threshold=0.4, large_fraction=1
    )
    assert fit(quick, bearable, Ill({})) == []
    assert fit(quick, HealthMonitor(layers="*weight"), Ill({0: 0.0})) == []


def test_what_was_told_before_a_checkpoint_is_not_told_again(quick: Quick) -> None:
    first = HealthMonitor()
    fit(quick, first, Ill({0: 0.0}))
    second, trainer = HealthMonitor(), quick()
    second.setup(trainer, Ill({}), "fit")
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        module = Ill({})
        module.layer.bias[0] = 0.0
    second.on_validation_end(trainer, module)
    assert second.report is not None
    assert not second.report.is_healthy
    assert first.state_dict()["told"] == [["layer.bias", "dead"]]


def test_check_may_come_with_other_moments(quick: Quick) -> None:
    monitor = HealthMonitor(Every(batches=2))
    fit(quick, monitor, Ill({}), limit_val_batches=0)
    assert monitor.step == 1


def test_validation_alone_is_a_moment_too(quick: Quick) -> None:
    monitor = HealthMonitor()
    quick(monitor).validate(Ill({}), verbose=False)
    assert monitor.report is not None
    assert monitor.report.is_healthy
    assert set(monitor.figures) == {f"health/{name}" for name in ("dead", "NaN", "Inf", "large")}

"""Scalars that are recorded come out as if they had been logged."""

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning import Trainer
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.errors import ConfigError
from leyden.modules import LifecycleModule
from leyden.modules.scalar_buffer import Reduction, ScalarBuffer

MakeTrainer: TypeAlias = Callable[..., Trainer]


class Recording(LifecycleModule):
    """Records what it logs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def say(self, phase: str, batch: Tensor) -> None:
        for reduction, value in (
            ("mean", batch.mean()),
            ("sum", batch.sum()),
            ("min", batch.min()),
            ("max", batch.max().item()),
        ):
            name, size = f"{phase}/{reduction}", len(batch)
            options: dict[str, Any] = {"on_step": False, "on_epoch": True, "reduce_fx": reduction}
            self.log(f"{name}_logged", value, batch_size=size, **options)
            self.record(name, value, batch_size=size, reduction=reduction)  # type: ignore[arg-type] # a reduction

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.say("train", batch + 100 * self.current_epoch)
        loss: Tensor = self.layer(batch).sum()
        return loss

    @override
    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.say("val", batch)

    @override
    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self.say("test", batch)

    @override
    def configure_optimizers(self) -> SGD:
        return SGD(self.parameters(), lr=1e-6)


def batches() -> DataLoader[Tensor]:
    rows: Any = torch.tensor([[1.0], [5.0], [-2.0], [4.0], [7.0]])
    return DataLoader(rows, batch_size=2)  # the last batch is smaller


def assert_recorded_as_logged(metrics: dict[str, Any], *phases: str) -> None:
    values = {name: float(value) for name, value in metrics.items()}
    recorded = {name: values[name] for name in values if not name.endswith("_logged")}
    logged = {name.removesuffix("_logged"): values[name] for name in values if "_log" in name}
    reductions = ("max", "mean", "min", "sum")
    assert sorted(recorded) == sorted(f"{phase}/{name}" for phase in phases for name in reductions)
    assert recorded == pytest.approx(logged)


@pytest.mark.parametrize("val_check_interval", [1, 3])
def test_what_is_recorded_is_reduced_as_if_it_was_logged(
    make_trainer: MakeTrainer, val_check_interval: int
) -> None:
    module = Recording()
    trainer = make_trainer(max_epochs=2, val_check_interval=val_check_interval)
    trainer.fit(module, batches(), batches())
    assert_recorded_as_logged(dict(trainer.callback_metrics), "train", "val")
    assert trainer.callback_metrics["train/mean"] == 103.0
    (metrics,) = trainer.test(module, batches(), verbose=False)
    assert_recorded_as_logged(dict(metrics), "test")


def test_another_trainer_starts_with_nothing_recorded(make_trainer: MakeTrainer) -> None:
    module, trainer = Recording(), make_trainer(max_epochs=1)
    make_trainer(max_epochs=1).fit(module, batches(), batches())
    trainer.fit(module, batches(), batches())
    assert trainer.callback_metrics["train/sum"] == 15.0


def test_what_was_recorded_before_a_run_broke_off_is_forgotten(make_trainer: MakeTrainer) -> None:
    class Breaking(Recording):
        breaks = True

        @override
        def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
            loss = super().training_step(batch, batch_idx)
            if self.breaks and batch_idx == 1:
                raise KeyError("broken")
            return loss

    module, trainer = Breaking(), make_trainer(max_epochs=1)
    with pytest.raises(KeyError, match="broken"):
        trainer.fit(module, batches(), batches())
    module.breaks = False
    trainer.fit(module, batches(), batches())
    assert trainer.callback_metrics["train/sum"] == 15.0


def test_nothing_is_recorded_in_prediction(make_trainer: MakeTrainer) -> None:
    class Predicting(Recording):
        @override
        def predict_step(self, batch: Tensor, batch_idx: int) -> None:
            self.record("loss", 1.0)

    problem = "recorded in training, validation or test, but got stage 'predict'"
    with pytest.raises(ConfigError, match=problem):
        make_trainer().predict(Predicting(), batches())


def test_outside_a_trainer_nothing_can_be_recorded() -> None:
    with pytest.raises(RuntimeError, match="not attached to a `Trainer`"):
        Recording().record("loss", 1.0)


def test_an_unknown_reduction_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"but got 'maen'\. Did you mean 'mean'"):
        ScalarBuffer().add("loss", 1.0, reduction="maen")  # type: ignore[arg-type] # that is tested


def test_a_scalar_has_one_reduction() -> None:
    buffer = ScalarBuffer()
    buffer.add("loss", 1.0)
    problem = "Expected `reduction` of 'loss' to be 'mean' all the time, but got 'sum'"
    with pytest.raises(ConfigError, match=problem):
        buffer.add("loss", 1.0, reduction="sum")


def test_no_gradient_is_kept() -> None:
    buffer = ScalarBuffer()
    buffer.add("loss", torch.ones((), requires_grad=True))
    ((_, value, _, _),) = buffer.take()
    assert isinstance(value, Tensor)
    assert not value.requires_grad


@given(
    values=st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 5)), min_size=1),
    reduction=st.sampled_from(["mean", "sum", "min", "max"]),
)
def test_values_are_reduced_as_they_come(
    values: list[tuple[int, int]], reduction: Reduction
) -> None:
    buffer = ScalarBuffer()
    for value, batch_size in values:
        buffer.add("loss", value, batch_size=batch_size, reduction=reduction)
    samples = [float(value) for value, batch_size in values for _ in range(batch_size)]
    once = [float(value) for value, _ in values]
    wanted = {
        "mean": sum(samples) / len(samples),
        "sum": sum(once),
        "min": min(once),
        "max": max(once),
    }
    ((name, reduced, _, num_samples),) = buffer.take()
    assert (name, num_samples) == ("loss", len(samples))
    assert float(reduced) == pytest.approx(wanted[reduction])
    assert list(buffer.take()) == []

"""Modules of leyden, whatever their steps are, reset what their recurrent parts remember."""

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import torch
from lightning import LightningDataModule, Trainer
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.callbacks import StateReset
from leyden.lifecycle import StateResetting
from leyden.modules import HiddenState, LifecycleModule

MakeTrainer: TypeAlias = Callable[..., Trainer]

NUM_BATCHES = 4


class Data(LightningDataModule):
    """Four steps of ones, in as many windows to a batch as is told."""

    def __init__(self, windows: int) -> None:
        super().__init__()
        self.windows = windows

    def num_windows(self, phase: str, epoch: int) -> int:
        return self.windows

    @override
    def train_dataloader(self) -> DataLoader[Any]:
        rows: Any = torch.ones(NUM_BATCHES, 1)
        return DataLoader(rows, batch_size=1)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


class Counting(LifecycleModule):
    """Counts the steps since the last reset."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[float] = []

    @override
    def build_model(self) -> None:
        self.weight = nn.Parameter(torch.zeros(1))
        self.memory = HiddenState(batch_axis=0)

    def _step(self, batch: Tensor) -> Tensor:
        (count,) = self.memory.recall(batch) or (torch.zeros(1, 1),)
        self.memory.keep(count + batch)
        self.counts.append(float(count) + 1)
        return self.weight.sum()

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self._step(batch)

    validation_step = test_step = predict_step = training_step

    @override
    def configure_optimizers(self) -> SGD:
        return SGD(self.parameters(), lr=0.1)


def count(trainer: Trainer, phase: str, module: Counting, data: Any) -> list[float]:
    settings = {} if phase in ("fit", "predict") else {"verbose": False}
    getattr(trainer, phase)(module, data, **settings)
    return module.counts


@pytest.mark.parametrize("phase", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize(
    ("windows", "expected"), [(2, [1, 2, 1, 2]), (4, [1, 2, 3, 4]), (1, [1, 1, 1, 1])]
)
def test_a_module_remembers_through_the_windows_of_a_batch(
    make_trainer: MakeTrainer, phase: str, windows: int, expected: list[float]
) -> None:
    trainer = make_trainer(max_epochs=1, limit_val_batches=0 if phase == "fit" else 1.0)
    assert count(trainer, phase, Counting(), Data(windows)) == expected


def test_without_windows_nothing_is_remembered(make_trainer: MakeTrainer) -> None:
    loader = Data(2).test_dataloader()
    assert count(make_trainer(), "test", Counting(), loader) == [1, 1, 1, 1]


def test_an_epoch_that_is_cut_short_leaves_nothing_to_the_next(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(max_epochs=2, limit_train_batches=3, limit_val_batches=0)
    assert count(trainer, "fit", Counting(), Data(2)) == [1, 2, 1, 1, 2, 1]


def resetting(trainer: Trainer) -> int:
    return sum(isinstance(callback, StateResetting) for callback in trainer.callbacks)  # type: ignore[attr-defined] # it has them


@pytest.mark.parametrize("own", [[], [StateReset()]])
def test_one_callback_does_it_however_often_a_trainer_is_used(
    make_trainer: MakeTrainer, own: list[StateReset]
) -> None:
    trainer = make_trainer(callbacks=own, max_epochs=1)
    module, data = Counting(), Data(2)
    trainer.fit(module, data)
    trainer.test(module, data, verbose=False)
    assert resetting(trainer) == 1


class Stateless(Counting):
    """Remembers nothing."""

    @override
    def build_model(self) -> None:
        self.weight = nn.Parameter(torch.zeros(1))

    @override
    def _step(self, batch: Tensor) -> Tensor:
        return self.weight.sum()


def test_a_module_that_remembers_nothing_has_no_callback(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(max_epochs=1)
    trainer.fit(Stateless(), Data(2))
    assert resetting(trainer) == 0

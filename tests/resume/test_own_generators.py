"""Generators that modules and callbacks keep stand again where they stood."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import nn
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden import latest_checkpoint
from leyden.callbacks import ExactResume
from leyden.resume.own_generators import own_generator_states, restore_own_generators


class Dicing(Callback):
    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.more = [np.random.default_rng(seed), {"deep": 1}]

    def draw(self) -> tuple[float, float]:
        many: Any = self.more[0]
        return self.dice.random(), many.random()


class Other(Callback):
    """Comes and goes: one that has a run begin elsewhere, say."""


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(1, 1)
        self.dice = torch.Generator()


def test_each_goes_on_where_it_was_though_another_callback_came_first() -> None:
    module, dicing = Noisy(), [Dicing(1), Dicing(2)]
    for one in dicing:
        one.draw()
    torch.rand(3, generator=module.dice)
    states = own_generator_states(module, [*dicing, Other()])
    expected = [one.draw() for one in dicing], torch.rand(2, generator=module.dice).tolist()
    fresh, again = Noisy(), [Dicing(3), Dicing(4)]
    restore_own_generators(fresh, [Other(), *again], states)
    found = [one.draw() for one in again], torch.rand(2, generator=fresh.dice).tolist()
    assert found == expected


def test_those_of_a_data_module_are_kept(tmp_path: Path) -> None:
    class Data(LightningDataModule):
        def __init__(self) -> None:
            super().__init__()
            self.dice = np.random.default_rng(5)
            self.drawn: list[float] = []

        @override
        def train_dataloader(self) -> DataLoader[Any]:
            return DataLoader(torch.zeros(4, 32))  # type: ignore[arg-type] # rows are all it needs

        @override
        def val_dataloader(self) -> DataLoader[Any]:
            return self.train_dataloader()

        @override
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            self.drawn.append(self.dice.random())
            return batch

    def fit(epochs: int) -> list[float]:
        data = Data()
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=epochs,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[ExactResume(tmp_path, every_seconds=None)],
        )
        trainer.fit(BoringModel(), data, ckpt_path=latest_checkpoint(tmp_path))
        return data.drawn

    whole = np.random.default_rng(5).random(8).tolist()
    assert [*fit(1), *fit(2)] == whole


def test_what_is_not_there_is_named() -> None:
    states = own_generator_states(nn.Linear(1, 1), [Dicing(1)])
    with pytest.warns(UserWarning, match=r"are not there.*Dicing 0\.dice, Dicing 0\.more\[0\]"):
        restore_own_generators(nn.Linear(1, 1), [Other()], states)

"""A module that knows nothing of leyden keeps the state of its recurrent part for one batch."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningDataModule, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.callbacks import StateReset


class Memory(nn.Module):
    """Counts the calls since the last reset."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def reset_state(self) -> None:
        self.count = 0


class Foreign(LightningModule):
    """Notes its steps."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({"memory": Memory(), "linear": nn.Linear(1, 1)})
        self.counts: list[int] = []

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        memory: Any = self.layers["memory"]
        memory.count += 1
        self.counts.append(memory.count)
        loss: Tensor = self.layers["linear"](batch).sum()
        return loss

    validation_step = test_step = predict_step = training_step

    @override
    def configure_optimizers(self) -> SGD:
        return SGD(self.parameters(), lr=0.1)


def loader() -> DataLoader[Any]:
    rows: Any = torch.ones(6, 1)
    return DataLoader(rows, batch_size=1)


class InThrees(LightningDataModule):
    """Serves three windows to a batch."""

    def num_windows(self, phase: str, epoch: int) -> int:
        return 3

    @override
    def train_dataloader(self) -> DataLoader[Any]:
        return loader()

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


QUIET = {"verbose": False}


def run(folder: Path, phase: str, data: Any, *callbacks: StateReset) -> list[int]:
    module = Foreign()
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        callbacks=list(callbacks),
        limit_val_batches=0 if phase == "fit" else 1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    getattr(trainer, phase)(module, data, **({} if phase in ("fit", "predict") else QUIET))
    return module.counts


@pytest.mark.parametrize("phase", ["fit", "validate", "test", "predict"])
def test_the_state_lasts_for_the_windows_of_a_batch(tmp_path: Path, phase: str) -> None:
    assert run(tmp_path, phase, InThrees()) == [1, 2, 3, 4, 5, 6]
    assert run(tmp_path, phase, InThrees(), StateReset()) == [1, 2, 3, 1, 2, 3]


@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no:UserWarning")
@pytest.mark.parametrize("phase", ["fit", "validate", "test", "predict"])
def test_with_other_loaders_every_batch_begins_anew(tmp_path: Path, phase: str) -> None:
    assert run(tmp_path, phase, loader(), StateReset()) == [1, 1, 1, 1, 1, 1]

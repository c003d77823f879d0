"""Runs that break, and their incidents made again: each in a process of its own.

``python flight_recorder_script.py FOLDER CASE fit`` trains with a recorder. With ``replay [RANK
...]`` it makes the incident again from its folder, and prints what it finds as JSON.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from typing_extensions import override

from leyden import AutoDataModule, FlightRecorder, replay
from leyden.shards import write_shards

BAD_SET, BAD_ROW = 7, 11
DIVISION = 4  # the part of the network that divides


class Divide(nn.Module):
    """Divides by what is zero once in a while."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("countdown", torch.tensor(9.0))

    @override
    def forward(self, values: Tensor) -> Tensor:
        assert isinstance(self.countdown, Tensor)
        self.countdown -= 1
        return values / self.countdown


class Module(LightningModule):
    """Has all that a step changes before its loss is known: generators, buffers and the like."""

    def __init__(self, case: str) -> None:
        super().__init__()
        self.case = case
        self.last = torch.zeros(1)  # a hidden state in a plain attribute
        parts = [nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3)]
        parts += [Divide()] if case == "division" else []
        self.net = nn.Sequential(*parts, nn.Linear(8, 1))
        self.automatic_optimization = case != "manual"
        self.generator = np.random.default_rng(3)

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        noise = float(self.generator.normal()) + float(torch.rand(()))
        outputs = self.net(batch).squeeze(1) + 0.01 * noise + 0.1 * self.last
        self.last = outputs.detach().mean()
        loss: Tensor = outputs.square().mean()
        if self.case == "gradient" and self.trainer.global_step == 8:
            loss = (
                loss + (self.net.get_parameter("0.weight") * 0.0).square().sum().sqrt()
            )  # has no gradient there
        if self.case == "jump" and self.trainer.global_step == 15:
            loss = loss * 1000.0
        self.log("loss", loss)
        if not self.automatic_optimization:
            optimizer: Any = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        return loss

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        if self.case == "exploding":
            return torch.optim.SGD(self.parameters(), 1e6, momentum=0.9)
        return torch.optim.Adam(self.parameters(), 1e-3)


def data(folder: Path, case: str) -> AutoDataModule:
    shards = {n: np.random.default_rng(n).normal(size=(20, 4)) for n in range(1, 10)}
    arrays = {number: rows.astype(np.float32) for number, rows in shards.items()}
    if case in ("bad_row", "accumulate", "manual", "ranks"):
        arrays[BAD_SET][BAD_ROW, 2] = np.nan
    if not folder.exists():
        write_shards(folder, arrays)
    return AutoDataModule(folder, val=None, batch_size=16)


def fit(folder: Path, case: str, **options: Any) -> None:
    seed_everything(0, verbose=False)
    module = Module(case)
    trainer = Trainer(
        accelerator="cpu",
        devices=2 if case == "ranks" else 1,
        strategy="ddp" if case == "ranks" else "auto",
        max_epochs=2,
        accumulate_grad_batches=3 if case == "accumulate" else 1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[FlightRecorder(on_incident="stop", **options)],
    )
    trainer.fit(module, datamodule=data(folder / "shards", case))


def make_again(folder: Path, case: str, rank: int | None) -> dict[str, Any]:
    (path,) = (folder / "incidents").iterdir()
    found = replay(path, module=Module(case), rank=rank)
    return {
        "folder": path.name,
        "step": found.step_number,
        "is_equal": found.is_equal,
        "loss": str(found.loss),
        "recorded": str(found.recorded),
        "again": [str(found.step().item()), str(found.step().item())],
        "findings": [[one.where, one.name] for one in found.findings],
        "rows": [[one.row, one.set_number, one.row_in_set] for one in found.rows],
        "origin": found.origin["name"],
    }


if __name__ == "__main__":
    place, name, task, *ranks = sys.argv[1:]
    warnings.simplefilter("ignore")
    if task == "fit":
        fit(Path(place), name)
    else:
        sys.stdout.write(
            json.dumps(
                [make_again(Path(place), name, int(rank)) for rank in ranks]
                or make_again(Path(place), name, None)
            )
        )

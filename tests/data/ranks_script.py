"""Trains in several processes; every process notes the rows that it sees. Run by test_ranks."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from typing_extensions import override

from leyden.data import AutoDataModule


class Noting(LightningModule):
    """A tiny model that lists ``[phase, epoch, set number, row]``."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.seen: list[list[Any]] = []

    def note(self, phase: str, batch: Tensor) -> None:
        self.seen += [[phase, self.current_epoch, int(n), int(row)] for n, row in batch.tolist()]

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.note("train", batch)
        loss: Tensor = self.layer(batch).square().mean()
        return loss

    @override
    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.note("val", batch)

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-6)


def main() -> None:
    options = json.loads(sys.argv[1])
    folder = Path(options["folder"])
    data = AutoDataModule(folder / "shards", val=[8, 13], batch_size=options["batch_size"])
    module = Noting()
    checkpoint = ModelCheckpoint(
        folder / options["name"], filename="{step}", every_n_train_steps=2, save_top_k=-1
    )
    trainer = Trainer(
        accelerator="cpu",
        devices=options["devices"],
        strategy="ddp" if options["devices"] > 1 else "auto",
        max_epochs=2,
        logger=False,
        callbacks=[checkpoint],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, datamodule=data, ckpt_path=options.get("ckpt_path"))
    path = folder / f"{options['name']}-{trainer.global_rank}.json"
    path.write_text(json.dumps({"seen": module.seen, "steps": trainer.global_step}))


if __name__ == "__main__":
    main()

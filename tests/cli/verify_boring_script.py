"""Somebody's training: Lightning's boring module and data set, with a dropout and a logger.

Nothing in it knows of a verification. Run by test_verify_resume.
"""

import sys

import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel, RandomDataset
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader
from typing_extensions import override

import leyden
from leyden.callbacks import ExactResume


class NoisyModel(BoringModel):
    def __init__(self) -> None:
        super().__init__()
        self.dropout = torch.nn.Dropout(0.2)

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = self.loss(self.dropout(self(batch)))
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    @override
    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val_loss", self.loss(self(batch)))


def main() -> None:
    seed_everything(7)
    rows, held_out = RandomDataset(32, 40), RandomDataset(32, 12)
    if "--unseeded" in sys.argv:
        torch.seed()
    trainer = Trainer(
        max_epochs=3,
        callbacks=[ExactResume("checkpoints"), ModelCheckpoint("best", monitor="val_loss")],
        logger=CSVLogger("logs"),
        log_every_n_steps=2,
        devices=2 if "--two-ranks" in sys.argv else 1,
        strategy="ddp" if "--two-ranks" in sys.argv else "auto",
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        NoisyModel(),
        DataLoader(rows, batch_size=4, shuffle=True),
        DataLoader(held_out, batch_size=4),
        ckpt_path=leyden.latest_checkpoint("checkpoints"),
    )
    sys.stdout.write("what comes after the training\n")


if __name__ == "__main__":
    main()

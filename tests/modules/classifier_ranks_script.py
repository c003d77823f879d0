"""Tests a classifier in several processes. Run by test_classifier_ranks."""

import json
import sys
from pathlib import Path

import torch
from lightning import Trainer

from leyden.data import AutoDataModule
from leyden.modules import ClassifierModule


def main() -> None:
    folder, devices = Path(sys.argv[1]), int(sys.argv[2])
    torch.manual_seed(0)
    data = AutoDataModule(folder / "d", val=[1], test=[2], batch_size=4)
    module = ClassifierModule("mlp", metrics=["accuracy", "auroc"], class_weights="balanced")
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    (found,) = trainer.test(module, data, verbose=False)
    if trainer.is_global_zero:
        (folder / f"{devices}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()

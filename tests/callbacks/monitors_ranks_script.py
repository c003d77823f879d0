"""Trains in two processes with monitors. Run by test_gradient_monitor and test_nan_guard."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import Tensor
from typing_extensions import override

from leyden.callbacks import GradientMonitor, HealthMonitor, NaNGuard, WeightMonitor
from leyden.errors import NonFiniteError
from leyden.lifecycle import Every
from leyden.tracking import FileLogger


class Breaking(BoringModel):
    """Has an infinite loss on one rank, with gradients that are finite."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss: Any = super().training_step(batch, batch_idx)
        found: Tensor = loss["loss"]
        if self.global_rank == 1 and batch_idx == self.at:
            return found + torch.tensor(torch.inf)
        return found


def main() -> None:
    folder, at = Path(sys.argv[1]), int((sys.argv[2:] or ["-1"])[0])
    torch.manual_seed(0)
    every = Every(batches=1)
    monitors = [GradientMonitor(every), WeightMonitor(every), HealthMonitor(every, dead_fraction=1)]
    guard = NaNGuard()
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=1,
        limit_train_batches=3,
        limit_val_batches=1,
        log_every_n_steps=1,
        logger=FileLogger(folder),
        enable_checkpointing=False,
        callbacks=[*monitors, guard],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    error = ""
    try:
        trainer.fit(Breaking(at))
    except NonFiniteError as found:
        error = str(found)
    figures = {name: one for monitor in monitors for name, one in monitor.figures.items()}
    said = {"figures": figures, "num_found": guard.num_found, "error": error}
    (folder / f"{trainer.global_rank}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main()

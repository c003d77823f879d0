"""A run that signals itself, or is asked to by its caller; what it saw is printed.

``python exact_resume_script.py FOLDER TASK SIGNAL AT [again]``: the task is ``fit``, ``validate``,
``test`` or ``predict``; the signal is sent while batch AT is being worked on.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from typing_extensions import override

from leyden.callbacks import ExactResume


class Signal(Callback):
    def __init__(self, name: str, at: int, times: int) -> None:
        self.name, self.at, self.times = name, at, times

    def work(self, batch_idx: int) -> None:
        if batch_idx == self.at:
            for _ in range(self.times):
                os.kill(os.getpid(), getattr(signal, self.name))
        sys.stdout.write(f"batch {batch_idx}\n")
        sys.stdout.flush()

    @override
    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        self.work(batch_idx)

    @override
    def on_validation_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.work(batch_idx)

    @override
    def on_test_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.work(batch_idx)

    @override
    def on_predict_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.work(batch_idx)


if __name__ == "__main__":
    folder, task, name, at, *again = sys.argv[1:]
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_train_batches=6,
        limit_val_batches=0 if task == "fit" else 6,
        limit_test_batches=6,
        limit_predict_batches=6,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[
            Signal(name, int(at), 1 + len(again)),
            ExactResume(Path(folder, "checkpoints"), every_seconds=None),
        ],
    )
    getattr(trainer, task)(BoringModel())
    sys.stdout.write("done\n")

"""Trains in two processes; each notes the hooks that are called. Run by test_stage_hooks."""

import json
import sys
from pathlib import Path
from typing import Any

from lightning import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from leyden.callbacks import StageHooks


class Noting:
    """Notes all calls by the names of their moments; has checkpoints saved after each epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder, list[str]()

    def attach(self, run: Any) -> None:
        self.run = run

    def before_epoch(self, epoch: int) -> None:
        self.notes.append("before_epoch")

    def before_step(self, step: int, fetches: Any, feeds: Any, batch: Any) -> None:
        self.notes.append("before_step")

    def after_step(self, step: int, results: Any) -> None:
        self.notes.append("after_step")

    def after_epoch(self, epoch: int) -> None:
        self.notes.append("after_epoch")
        self.run.save_checkpoint(self.folder / f"{epoch}.ckpt")

    def note(self, stage: Any) -> None:
        self.notes.append("+".join(stage) if isinstance(stage, tuple) else stage)

    on_train_iter_end = on_train_batch_end = on_train_epoch_end = note
    on_val_iter_end = on_val_batch_end = on_val_epoch_end = on_val_end = on_save = note


def main() -> None:
    folder = Path(sys.argv[1])
    noting = Noting(folder)
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=2,
        limit_train_batches=2,
        limit_val_batches=1,
        logger=False,
        enable_checkpointing=False,
        callbacks=[StageHooks([noting])],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(BoringModel())
    (folder / f"{trainer.global_rank}.json").write_text(json.dumps(noting.notes))


if __name__ == "__main__":
    main()

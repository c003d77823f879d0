"""Calibrates in several processes; each writes what it found. Run by test_threshold_tuner.

``python calibration_ranks_script.py FOLDER DEVICES [CHECKPOINTS [stop]]``: with a folder of
checkpoints, the run goes on from the last of them; with ``stop``, it is broken off in a validation.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer
from torch import Tensor, nn
from torchmetrics.classification import BinaryF1Score, BinaryMatthewsCorrCoef
from typing_extensions import override

from leyden import latest_checkpoint
from leyden.callbacks import ExactResume, SubsetSelector, ThresholdTuner
from leyden.data import AutoDataModule
from leyden.modules import ClassifierModule


class Stopping(Callback):
    """Asks the first process to end, in the second batch of a validation."""

    @override
    def on_validation_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx == 1 and trainer.is_global_zero and not trainer.sanity_checking:
            os.kill(os.getpid(), signal.SIGTERM)


def only_first(outputs: Any, batch: Any) -> Tensor:
    """The scores of the first process; the others have none."""
    rows: Tensor = batch[0][:, 0].sigmoid()
    return rows[: len(rows) if os.environ.get("LOCAL_RANK", "0") == "0" else 0]


def only_first_targets(outputs: Any, batch: Any) -> Tensor:
    rows: Tensor = batch[1]
    return rows[: len(rows) if os.environ.get("LOCAL_RANK", "0") == "0" else 0]


def main() -> None:
    folder, devices = Path(sys.argv[1]), int(sys.argv[2])
    data = AutoDataModule(folder / "d", val=[7, 8, 9], batch_size=4)
    tuner = ThresholdTuner("f1")
    uneven = ThresholdTuner(
        "accuracy", scores=only_first, targets=only_first_targets, attribute="other"
    )
    # Metrics of torchmetrics would add up what all processes have, if they were let.
    counted = ThresholdTuner(BinaryMatthewsCorrCoef(), attribute="another")
    called = ThresholdTuner(BinaryF1Score(ignore_index=-1), attribute="a third")
    history, greedy = SubsetSelector(2, "f1"), SubsetSelector(2, "accuracy", by="predictions")
    by_loss = SubsetSelector(1)
    more: list[Callback] = [Stopping()] if sys.argv[4:] else []
    checkpoints = sys.argv[3] if sys.argv[3:] else None
    if checkpoints is not None:
        more.append(ExactResume(checkpoints, every_seconds=None))
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[tuner, uneven, counted, called, history, greedy, by_loss, *more],
        max_epochs=1,
        limit_train_batches=1,
    )
    module = ClassifierModule(
        nn.Sequential(nn.Linear(1, 1, bias=False)), loss="bce", optimizer={"type": "sgd", "lr": 0.0}
    )
    nn.init.ones_(module._recipes["network"][0].weight)
    path = None if checkpoints is None else latest_checkpoint(checkpoints)
    trainer.fit(module, data, ckpt_path=path)
    found = {
        "tuner": tuner.state_dict(),
        "uneven": uneven.state_dict(),
        "counted": counted.state_dict(),
        "called": called.state_dict(),
        "history": history.state_dict(),
        "greedy": greedy.state_dict(),
        "by_loss": by_loss.state_dict(),
        "threshold": module.threshold,
        "logged": {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if "threshold" in name or "subset" in name
        },
    }
    (folder / f"{devices}-{trainer.global_rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()

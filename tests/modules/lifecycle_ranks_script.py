"""Trains in two processes; each notes the hooks that are called. Run by test_lifecycle_order."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.modules import LifecycleModule


class Net(LifecycleModule):
    """Has an optimizer, and a metric that differs between the processes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    @override
    def build_parallel_model(self) -> None:
        self.calls.append("build_parallel_model")
        self.layer = nn.Linear(2, 1)

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.calls.append("training_step")
        self.record("recorded", float(self.global_rank))
        loss: Tensor = self.layer(batch).sum()
        return loss

    @override
    def on_train_batches_end(self) -> None:
        self.calls.append(f"on_train_batches_end {self._epoch}")
        self.log("rank", float(self.global_rank), sync_dist=True)

    @override
    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        pass

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-6)


def noting(name: str) -> Callable[..., None]:
    def hook(self: Any, *_: Any) -> None:
        self.calls.append(f"{name} {self._epoch}" if name in NUMBERED else name)

    return hook


NUMBERED = ("on_train_epoch_start", "on_epoch_end")
HOOKS = (
    *("on_train_start", "start_logger", *NUMBERED, "on_train_end", "load_parallel_model"),
    *("on_start_training_batch", "on_end_training_batch", "on_start_test_batch"),
    *("on_evaluate_epoch_start", "on_evaluate_batch_start", "evaluate_batch", "on_end_test_batch"),
    *("on_evaluate_batch_end", "on_evaluate_epoch_end"),
)
Recorder: Any = type("Recorder", (Net,), {name: noting(name) for name in HOOKS})


def batches(count: int) -> DataLoader[Tensor]:
    rows: Any = torch.ones(count, 2)
    return DataLoader(rows, batch_size=1)


def main() -> None:
    path, module = Path(sys.argv[1]), Recorder()
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=2,
        val_check_interval=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, batches(4), batches(4))
    means = {name: trainer.callback_metrics[name].item() for name in ("rank", "recorded")}
    said = {"calls": module.calls, "means": means}
    module.calls = []
    trainer.test(module, batches(2), verbose=False)
    said["tested"] = module.calls
    path.with_name(f"{path.name}-{trainer.global_rank}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main()

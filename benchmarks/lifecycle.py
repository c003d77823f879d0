"""What a LifecycleModule costs a step, beside a plain LightningModule, and a recorded scalar.

``python -m benchmarks.lifecycle`` trains the same small network in all of them, in turns and every
other round backwards, and writes medians of the rounds and of the ratios within each to
``benchmarks/results/lifecycle.json``. The plain one runs on both sides of the one that overrides
nothing, and is compared with itself, too.
"""

import json
import logging
import time
import warnings
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from benchmarks.measuring import medians, rounded, take_turns
from benchmarks.targets import Target
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.modules import LifecycleModule
from leyden.runs import hardware_info, versions

RESULTS = Path(__file__).parent / "results" / "lifecycle.json"
UNTOUCHED = Target(1.02, 1.01, is_limit=True)
WIDTH = 64
BATCH_SIZE = 32


class Plain(LightningModule):
    """Five layers, as in many examples."""

    def __init__(self) -> None:
        super().__init__()
        layers = [part for _ in range(4) for part in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
        self.layers = nn.Sequential(*layers, nn.Linear(WIDTH, 1))

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss: Tensor = self.layers(batch).square().mean()
        return loss

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-3)


class Untouched(Plain, LifecycleModule):
    """Overrides no documented hook."""


class Hooked(Plain, LifecycleModule):
    """Overrides those around a step."""

    @override
    def on_start_training_batch(self, item: tuple[int, Any]) -> None:
        pass

    @override
    def on_end_training_batch(self) -> None:
        pass


class Recording(Plain, LifecycleModule):
    """Records a scalar in every step."""

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        self.record("loss", loss, batch_size=len(batch))
        return loss


class Logging(Plain):
    """Logs a scalar in every step, for its mean over the epoch."""

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(batch))
        return loss


def microseconds_per_step(kind: type[LightningModule], num_steps: int) -> float:
    """Train, and measure the processor time of the steps after the first tenth."""
    torch.manual_seed(0)
    rows: Any = torch.zeros(num_steps * BATCH_SIZE, WIDTH)
    module, began, num_warm = kind(), [0.0], num_steps // 10
    plain_start = module.on_train_batch_start

    def on_train_batch_start(batch: Any, batch_idx: int) -> Any:
        if batch_idx == num_warm:
            began[0] = time.process_time()
        return plain_start(batch, batch_idx)

    module.on_train_batch_start = on_train_batch_start  # type: ignore[method-assign] # of this one
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(rows, batch_size=BATCH_SIZE))
    return (time.process_time() - began[0]) / (num_steps - num_warm) * 1e6


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    kinds = (Plain, Untouched, Plain, Hooked, Recording, Logging)
    names = ("plain", "untouched", "plain again", "hooked", "recording", "logging")
    measures = {
        name: partial(microseconds_per_step, kind, options.steps)
        for name, kind in zip(names, kinds, strict=True)
    }
    figures = take_turns(measures, options.rounds, warms=True)
    sides = zip(figures["plain"], figures["plain again"], strict=True)
    plain = [(before + after) / 2 for before, after in sides]
    ratios = {
        name: rounded(median(a / b for a, b in zip(values, plain, strict=True)), 4)
        for name, values in figures.items()
    }
    report = {
        "machine": hardware_info(),
        "versions": versions(),
        "rounds": options.rounds,
        "steps": options.steps,
        "microseconds_per_step": medians(figures, 4),
        "ratio_to_plain": {**ratios, "untouched": UNTOUCHED.judge(ratios["untouched"])},
    }
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report["ratio_to_plain"], indent=2))


if __name__ == "__main__":
    main()

"""What monitors of gradients, weights and activations cost a step, and a recorded scalar.

``python -m benchmarks.callbacks`` trains the same networks with and without each of them, in turns
and every other round backwards, and writes medians of the rounds, and of the ratios within each, to
``results/callbacks.json``. The plain one runs on both sides of the others, and is compared with
itself, too.
"""

import argparse
import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import torch
from benchmarks.measuring import medians, rounded, take_turns
from benchmarks.targets import Target
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers.logger import Logger
from torch import Tensor, nn
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.callbacks import (
    ActivationMonitor,
    BatchMonitor,
    ExactResume,
    FlightRecorder,
    GradientMonitor,
    HealthMonitor,
    HistoryFigure,
    NaNGuard,
    RunCard,
    WeightMonitor,
)
from leyden.lifecycle import Every
from leyden.modules import LifecycleModule
from leyden.runs import hardware_info, versions

_RESULTS = Path(__file__).parent / "results" / "callbacks.json"
_LARGE = (1_024, 5, 128)  # width and number of layers, rows of a batch: 5 million parameters
_MEDIUM = (256, 8, 128)  # a step of about 5 milliseconds: half a million parameters
_SMALL = (16, 10, 32)  # 20 parameters, for 20 scalars
_NUM_SCALARS = 20
_NEVER = Every(batches=10**9)
_ALWAYS = Every(batches=1)

NOT_DUE = Target(1.01, 1.005, is_limit=True)  # time of a step beside that without
EVERY_STEP = Target(1.05, 1.03, is_limit=True)  # likewise
GUARD = Target(1.03, 1.02, is_limit=True)  # likewise, of a step of 5 milliseconds
DEFAULTS = Target(1.03, 1.02, is_limit=True)  # likewise
SCALARS = Target(0.1, 0.02, is_limit=True)  # additional time beside that of as many calls of log


class Net(LifecycleModule):
    """Equal layers, one after another.

    Args:
        width: Of each layer.
        depth: How many layers.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        layers = [part for _ in range(depth) for part in (nn.Linear(width, width), nn.ReLU())]
        self.layers = nn.Sequential(*layers)

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss: Tensor = self.layers(batch).square().mean()
        return loss

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-3)


class Logging(Net):
    """Logs scalars in every step, with the step and for the mean of the epoch."""

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        for index in range(_NUM_SCALARS):
            self.log(f"loss{index}", loss, on_step=True, on_epoch=True, batch_size=len(batch))
        return loss


class Recording(Net):
    """Records scalars in every step, for the mean of the epoch."""

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        for index in range(_NUM_SCALARS):
            self.record(f"loss{index}", loss, batch_size=len(batch))
        return loss


class Keeping(Logger):
    """Takes metrics and does nothing with them."""

    name = version = "keeping"

    @override
    def log_metrics(self, *_: Any, **__: Any) -> None: ...

    @override
    def log_hyperparams(self, *_: Any, **__: Any) -> None: ...


def milliseconds_per_step(
    kind: type[Net],
    shape: tuple[int, int, int],
    num_steps: int,
    make_callbacks: Callable[[], Sequence[Callback]] = tuple,
) -> float:
    """Train, and measure the processor time of the steps after the first tenth."""
    torch.manual_seed(0)
    width, depth, batch_size = shape
    rows: Any = torch.zeros(num_steps * batch_size, width)
    module, began, num_warm = kind(width, depth), [0.0], max(2, num_steps // 10)

    class Clock(Callback):
        @override
        def on_train_batch_start(
            self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
        ) -> None:
            if batch_idx == num_warm:
                began[0] = time.process_time()

    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[Clock(), *make_callbacks()],
        logger=Keeping(),
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(rows, batch_size=batch_size))
    return (time.process_time() - began[0]) / (num_steps - num_warm) * 1e3


def measure_large(rounds: int, num_steps: int) -> dict[str, Any]:
    """Time of a step of a model with 5 million parameters, beside one without a callback."""
    watched: dict[str, Callable[[], Sequence[Callback]]] = {
        "gradients, not due": lambda: [GradientMonitor(_NEVER)],
        "weights, not due": lambda: [WeightMonitor(_NEVER)],
        "activations, not due": lambda: [ActivationMonitor(_NEVER)],
        "health, not due": lambda: [HealthMonitor(_NEVER)],
        "gradients and weights": lambda: [GradientMonitor(_ALWAYS), WeightMonitor(_ALWAYS)],
        "guard": lambda: [NaNGuard()],
        "all defaults": lambda: default_callbacks(Path(mkdtemp(dir=folder))),
    }
    targets = dict.fromkeys(watched, NOT_DUE)
    targets |= {"gradients and weights": EVERY_STEP, "guard": EVERY_STEP, "all defaults": DEFAULTS}
    with TemporaryDirectory() as folder:
        return _race(_LARGE, watched, targets, rounds, num_steps)


def default_callbacks(folder: Path) -> list[Callback]:
    """Make those of ``callbacks=default``, with their settings there."""
    return [
        ExactResume(folder),
        ModelCheckpoint(folder, "best", monitor=None, save_last=True),
        BatchMonitor(folder / "batches.parquet"),
        FlightRecorder(folder / "incidents"),
        HistoryFigure(folder / "history.png"),
        RunCard(folder / "card.png"),
    ]


def measure_medium(rounds: int, num_steps: int) -> dict[str, Any]:
    """Time of a step of about 5 milliseconds with a guard, beside one without."""
    return _race(_MEDIUM, {"guard": lambda: [NaNGuard()]}, {"guard": GUARD}, rounds, num_steps)


def _race(
    shape: tuple[int, int, int],
    watched: Mapping[str, Callable[[], Sequence[Callback]]],
    targets: Mapping[str, Target],
    rounds: int,
    num_steps: int,
) -> dict[str, Any]:
    step = partial(milliseconds_per_step, Net, shape, num_steps)
    measures = {"plain": step}
    measures |= {name: partial(step, callbacks) for name, callbacks in watched.items()}
    figures = take_turns(measures | {"plain again": step}, rounds, warms=True)
    plain = _both_sides(figures)
    ratios = {
        name: median(a / b for a, b in zip(figures[name], plain, strict=True)) for name in figures
    }
    width, depth, batch_size = shape
    return {
        "parameters": depth * width * (width + 1),
        "batch_size": batch_size,
        "steps": num_steps,
        "milliseconds_per_step": medians(figures, 4),
        "plain_to_itself": rounded(ratios["plain again"] / ratios["plain"], 4),
        "ratio_to_plain": {
            name: target.judge(rounded(ratios[name], 4)) for name, target in targets.items()
        },
    }


def measure_scalars(rounds: int, num_steps: int) -> dict[str, Any]:
    """Time that scalars add to a step, beside that of as many calls of ``self.log``."""
    monitors = [GradientMonitor(_ALWAYS)]
    measures: dict[str, Callable[[], float]] = {
        "plain": partial(milliseconds_per_step, Net, _SMALL, num_steps),
        "log": partial(milliseconds_per_step, Logging, _SMALL, num_steps),
        "record": partial(milliseconds_per_step, Recording, _SMALL, num_steps),
        "monitor": partial(milliseconds_per_step, Net, _SMALL, num_steps, lambda: monitors),
        "plain again": partial(milliseconds_per_step, Net, _SMALL, num_steps),
    }
    figures = take_turns(measures, rounds, warms=True)
    plain = _both_sides(figures)
    more = {
        name: [a - b for a, b in zip(figures[name], plain, strict=True)]
        for name in ("log", "record", "monitor")
    }
    return {
        "scalars": _NUM_SCALARS,
        "steps": num_steps,
        "milliseconds_per_step": medians(figures, 4),
        "additional_milliseconds": medians(more, 4),
        "ratio_to_log": {
            name: SCALARS.judge(
                rounded(median(a / b for a, b in zip(more[name], more["log"], strict=True)), 4)
            )
            for name in ("record", "monitor")
        },
    }


def _both_sides(figures: Mapping[str, Sequence[float]]) -> list[float]:
    sides = zip(figures["plain"], figures["plain again"], strict=True)
    return [(before + after) / 2 for before, after in sides]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="counted rounds (default 15)")
    parser.add_argument("--steps", type=int, default=40, help="of the largest model (default 40)")
    parser.add_argument("--output", type=Path, default=_RESULTS, help=f"default {_RESULTS.name}")
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    report = {
        "machine": hardware_info(),
        "versions": versions(),
        "rounds": options.rounds,
        "large": measure_large(options.rounds, options.steps),
        "medium": measure_medium(options.rounds, 5 * options.steps),
        "scalars": measure_scalars(options.rounds, 5 * options.steps),
    }
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({part: report[part] for part in ("large", "medium", "scalars")}, indent=2))


if __name__ == "__main__":
    main()

"""What exact resume costs, and how long it takes to be back in an epoch.

``python benchmarks/resume.py``, on a machine with nothing else to do; writes
``benchmarks/results/resume.json``.
"""

import json
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from leyden import latest_checkpoint
from leyden.callbacks import ExactResume
from leyden.runs import hardware_info, versions

RESULTS = Path(__file__).parent / "results" / "resume.json"
STEP_SECONDS = 0.020
CADENCE = 60.0  # seconds from one writing to the next, unless another number is given
OFTEN = 1.0  # the same, while a writing is timed
STEPS, SMALL_STEPS = 600, 600
ROWS = 1_000_000
ROUNDS, SMALL_ROUNDS = 4, 15


class Net(LightningModule):
    """Five million parameters, or few, and a step that takes as long as is asked."""

    def __init__(self, step_seconds: float = 0.0, *, is_large: bool = False) -> None:
        super().__init__()
        wide = (nn.Linear(32, 2048), nn.ReLU(), nn.Linear(2048, 2400), nn.Linear(2400, 1))
        self.net = nn.Sequential(*(wide if is_large else (nn.Linear(32, 1),)))
        self.step_seconds = step_seconds

    def training_step(self, batch: Any) -> Tensor:
        end = time.perf_counter() + self.step_seconds
        loss: Tensor = self.net(batch[0]).square().mean()
        while time.perf_counter() < end:  # as a busy device would keep this thread
            pass
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-4, momentum=0.9)


class Clock(Callback):
    """When the first batch began."""

    def __init__(self) -> None:
        self.first: float | None = None

    def on_train_batch_start(self, *_: Any) -> None:
        self.first = self.first or time.perf_counter()


def trainer(callbacks: list[Callback], **kwargs: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
        **kwargs,
    )


def rows(count: int) -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.zeros(count, 32)), 32, shuffle=True)


def cost(folder: Path) -> dict[str, Any]:
    """The share of training that the callback takes: at each step, and whenever it writes.

    A run as a whole varies by more than this share, so that both parts are measured where they are
    large: beside steps that take no time, and with a writing every second.
    """
    step = _difference(
        lambda: _fit(Net(), SMALL_STEPS, []),
        lambda: _fit(Net(), SMALL_STEPS, [ExactResume(folder / "small", every_seconds=None)]),
        SMALL_ROUNDS,
    )
    writings: list[int] = []

    def write_often() -> None:
        resume = Writings(folder / "large", every_seconds=OFTEN)
        _fit(Net(STEP_SECONDS, is_large=True), STEPS, [resume])
        writings.append(resume.count)

    seldom = [ExactResume(folder / "seldom", every_seconds=None)]
    writing = _difference(
        lambda: _fit(Net(STEP_SECONDS, is_large=True), STEPS, list(seldom)), write_often, ROUNDS
    )
    per_step = [seconds / SMALL_STEPS for seconds in step]
    per_writing = [
        seconds / (count - 2)  # the first and the last are in both runs
        for seconds, count in zip(writing, writings[1:], strict=True)
    ]
    share = median(per_step) / STEP_SECONDS + median(per_writing) / CADENCE
    return {
        "seconds_per_step": per_step,
        "seconds_per_writing": per_writing,
        "writings": writings,
        "ratio": 1 + share,
        "must": 1.01,
    }


class Writings(ExactResume):
    """Counts the checkpoints."""

    count = 0

    def on_save_checkpoint(self, *args: Any) -> None:
        self.count += 1
        super().on_save_checkpoint(*args)


def _fit(model: Net, steps: int, callbacks: list[Any]) -> None:
    trainer(callbacks, max_steps=steps).fit(model, rows(ROWS))


def _difference(less: Callable[[], None], more: Callable[[], None], rounds: int) -> list[float]:
    """Seconds that the second takes longer than the first; both in turn, once unmeasured."""
    less()
    more()
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        less()
        between = time.perf_counter()
        more()
        found.append(time.perf_counter() - between - (between - began))
    return found


def restore(folder: Path) -> dict[str, Any]:
    """Seconds from ``fit`` to the first batch, from the beginning and from 90 % of an epoch."""
    made = {name: _checkpoint(folder / name, steps) for name, steps in _PLACES.items()}
    seconds: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(5):
        for name, path in made.items():
            seconds[name].append(_first_batch(folder / name, path))
    best = {name: median(some) for name, some in seconds.items()}
    return {"seconds": seconds, "difference": best["90 %"] - best["0 %"], "must": 2.0}


_PLACES = {"0 %": 1, "90 %": ROWS // 32 * 9 // 10}


class _At(Callback):
    """Asks for a checkpoint by the signal that a user would send, and stops."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise KeyboardInterrupt


def _checkpoint(folder: Path, steps: int) -> Path:
    seed_everything(0, verbose=False)
    resume = ExactResume(folder, every_n_steps=steps, every_seconds=None)
    stop = _At(steps + 1)
    _quietly(lambda: trainer([resume, stop], max_epochs=2).fit(Net(), rows(ROWS)))
    path = latest_checkpoint(folder)
    if path is None:
        raise RuntimeError("There is no checkpoint to restore.")
    return path


def _first_batch(folder: Path, path: Path) -> float:
    model, clock = Net(), Clock()
    resume = ExactResume(folder / "again", every_seconds=None)
    data = rows(ROWS)
    stop = _At(torch.load(path)["global_step"] + 1)
    began = time.perf_counter()
    _quietly(lambda: trainer([resume, clock, stop], max_epochs=2).fit(model, data, ckpt_path=path))
    if clock.first is None:
        raise RuntimeError("The run went on without a batch.")
    return clock.first - began


def _quietly(run: Callable[[], None]) -> None:
    with suppress(SystemExit):
        run()


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        measured = {"restoring": restore(Path(folder)), "cost": cost(Path(folder))}
    results = {"machine": hardware_info(), "versions": versions(), **measured}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()

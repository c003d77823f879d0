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
RUN_SECONDS = 66.0  # one writing at the default cadence lies in it, beside those at both ends
ROWS = 1_000_000
ROUNDS = 3


class Net(LightningModule):
    """Five million parameters, and a step that takes as long as is asked."""

    def __init__(self, step_seconds: float) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(32, 2048), nn.ReLU(), nn.Linear(2048, 2400), nn.Linear(2400, 1)
        )
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
    """Seconds for the same steps without and with the callback, one after the other."""
    steps = int(RUN_SECONDS / STEP_SECONDS)
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    for round_ in range(ROUNDS):
        for name, made in seconds.items():
            resume = ExactResume(folder / f"cost-{round_}")
            callbacks: list[Callback] = [resume] if name == "with" else []
            began = time.perf_counter()
            trainer(callbacks, max_steps=steps).fit(Net(STEP_SECONDS), rows(ROWS))
            made.append(time.perf_counter() - began)
    ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
    return {"steps": steps, "seconds": seconds, "ratio": median(ratios), "must": 1.01}


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
    model = Net(0.0)
    model.net = nn.Sequential(nn.Linear(32, 1))
    _quietly(lambda: trainer([resume, _At(steps + 1)], max_epochs=2).fit(model, rows(ROWS)))
    path = latest_checkpoint(folder)
    if path is None:
        raise RuntimeError("There is no checkpoint to restore.")
    return path


def _first_batch(folder: Path, path: Path) -> float:
    model, clock = Net(0.0), Clock()
    model.net = nn.Sequential(nn.Linear(32, 1))
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

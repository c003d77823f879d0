"""What monitors of gradients, weights and activations cost a step, and a recorded scalar.

``python -m benchmarks.callbacks`` trains the same networks with and without each of them, some
steps of each in turns and every other time backwards, and writes medians of the rounds, and of the
ratios within each, to ``results/callbacks.json``. The plain one runs on both sides of the
others, and is compared with itself, too. Since equal networks differ by more than a callback costs,
the time in the hooks of callbacks is measured as well, beside that of all else in the same steps,
and held against what it may be. What comes at ends of epochs is not part of a step.
"""

import argparse
import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, mkdtemp
from threading import Semaphore, Thread
from typing import Any, TypeAlias

import torch
from benchmarks.measuring import medians, rounded
from benchmarks.targets import Target
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
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
Shape: TypeAlias = tuple[int, int, int, int]  # width, layers, rows of a batch, steps of a turn

_LARGE: Shape = (1_024, 5, 128, 4)  # 5 million parameters
_MEDIUM: Shape = (256, 8, 128, 20)  # a step of about 5 milliseconds: half a million parameters
_SMALL: Shape = (16, 10, 32, 40)  # 20 parameters, for 20 scalars
_NUM_SCALARS = 20
_NUM_TURNS = 6  # of each in a round
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


class HookTimer:
    """Adds up the time that callbacks take in their hooks.

    Args:
        callbacks: Their methods are replaced.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.seconds = 0.0
        for callback in callbacks:
            for name in dir(Callback):
                hook = getattr(callback, name)
                if name.startswith("on_") and hook.__func__ is not vars(Callback)[name]:
                    setattr(callback, name, self._timed(hook))

    def _timed(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return hook(*arguments, **named)
            finally:
                self.seconds += time.process_time() - began

        return timed


class Runner:
    """Trains in a thread of its own, some steps at a time, whenever it is its turn.

    Args:
        kind: The module.
        shape: Its width and its number of layers, and the rows of a batch.
        num_turns: How many turns there are.
        make_callbacks: Makes the callbacks.
    """

    def __init__(
        self,
        kind: type[Net],
        shape: Shape,
        num_turns: int,
        make_callbacks: Callable[[], Sequence[Callback]] = tuple,
    ) -> None:
        self.milliseconds: list[float] = []
        self.shares: list[float] = []  # of a turn: time in callbacks over the time of all else
        self._options = kind, shape, num_turns, make_callbacks
        self._turn, self._over = Semaphore(0), Semaphore(0)
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def take_turn(self) -> None:
        """Have it make steps; of all but the first, note the median time from start to start."""
        self._turn.release()
        self._over.acquire()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        self._turn.acquire()
        try:
            torch.set_num_threads(1)  # of this thread
            self._train(*self._options)
        except BaseException as error:  # noqa: BLE001 - raised by `take_turn`
            self._error = error
        self._over.release()

    def _train(
        self,
        kind: type[Net],
        shape: Shape,
        num_turns: int,
        make_callbacks: Callable[[], Sequence[Callback]],
    ) -> None:
        torch.manual_seed(0)
        width, depth, batch_size, num_steps = shape
        rows: Any = torch.zeros(batch_size, width).expand(num_turns * num_steps, -1, -1)
        runner, callbacks = self, make_callbacks()
        times: list[float] = []
        hooks = HookTimer(callbacks)

        class Clock(Callback):
            @override
            def on_train_batch_start(
                self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
            ) -> None:
                times.append(time.process_time())
                if batch_idx % num_steps:
                    return
                if batch_idx:
                    took = [after - before for before, after in pairwise(times[1:])]
                    runner.milliseconds.append(median(took) * 1e3)
                    runner.shares.append(hooks.seconds / (times[-1] - times[0] - hooks.seconds))
                runner._over.release()
                runner._turn.acquire()
                times[:], hooks.seconds = [time.process_time()], 0.0

        trainer = Trainer(
            accelerator="cpu",
            max_epochs=1,
            callbacks=[Clock(), *callbacks],
            logger=Keeping(),
            log_every_n_steps=1,
            enable_checkpointing=any(isinstance(one, Checkpoint) for one in callbacks),
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(kind(width, depth), DataLoader(rows, batch_size=None))


def measure_large(num_rounds: int) -> dict[str, Any]:
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
        return _race(_LARGE, watched, targets, num_rounds)


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


def measure_medium(num_rounds: int) -> dict[str, Any]:
    """Time of a step of about 5 milliseconds with a guard, beside one without."""
    return _race(_MEDIUM, {"guard": lambda: [NaNGuard()]}, {"guard": GUARD}, num_rounds)


def _race(
    shape: Shape,
    watched: Mapping[str, Callable[[], Sequence[Callback]]],
    targets: Mapping[str, Target],
    num_rounds: int,
) -> dict[str, Any]:
    plain = partial(Runner, Net, shape)
    makers: dict[str, Callable[[int], Runner]] = {"plain": plain}
    makers |= {name: partial(plain, make_callbacks=make) for name, make in watched.items()}
    figures, shares = measure_rounds(makers | {"plain again": plain}, num_rounds)
    beside = _both_sides(figures)
    ratios = {
        name: median(a / b for a, b in zip(figures[name], beside, strict=True)) for name in figures
    }
    width, depth, batch_size, num_steps = shape
    return {
        "parameters": depth * width * (width + 1),
        "batch_size": batch_size,
        "steps_per_turn": num_steps,
        "turns": _NUM_TURNS,
        "rounds": num_rounds,
        "milliseconds_per_step": medians(figures, 4),
        "plain_to_itself": rounded(ratios["plain again"] / ratios["plain"], 4),
        "ratio_to_plain": {name: rounded(ratios[name], 4) for name in targets},
        "with_hooks_to_without": {
            name: target.judge(rounded(1 + median(shares[name]), 4))
            for name, target in targets.items()
        },
    }


def measure_rounds(
    makers: Mapping[str, Callable[[int], Runner]], num_rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Have each make steps in turns, every other time backwards, and begin anew in every round.

    Where in memory a network lies makes it faster or slower than others for as long as it lives.

    Returns:
        Milliseconds of a step in each round, by name, and the time in callbacks over that of all
        else: the medians of the turns after the first.
    """
    figures: dict[str, list[float]] = {name: [] for name in makers}
    shares: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(num_rounds):
        runners = {name: make(_NUM_TURNS) for name, make in makers.items()}
        for turn_index in range(_NUM_TURNS + 1):  # the first one leads to the first step
            in_line = list(runners.values())
            for runner in in_line if turn_index % 2 == 0 else reversed(in_line):
                runner.take_turn()
        for name, runner in runners.items():
            figures[name].append(median(runner.milliseconds[1:]))
            shares[name].append(median(runner.shares[1:]))
    return figures, shares


def measure_scalars(num_rounds: int) -> dict[str, Any]:
    """Time that scalars add to a step, beside that of as many calls of ``self.log``."""
    makers: dict[str, Callable[[int], Runner]] = {
        "plain": partial(Runner, Net, _SMALL),
        "log": partial(Runner, Logging, _SMALL),
        "record": partial(Runner, Recording, _SMALL),
        "monitor": partial(Runner, Net, _SMALL, make_callbacks=lambda: [GradientMonitor(_ALWAYS)]),
        "plain again": partial(Runner, Net, _SMALL),
    }
    figures, _ = measure_rounds(makers, num_rounds)
    plain = _both_sides(figures)
    more = {
        name: [a - b for a, b in zip(figures[name], plain, strict=True)]
        for name in ("log", "record", "monitor")
    }
    return {
        "scalars": _NUM_SCALARS,
        "turns": _NUM_TURNS,
        "rounds": num_rounds,
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
    parser.add_argument("--rounds", type=int, default=12, help="counted rounds (default 12)")
    parser.add_argument("--output", type=Path, default=_RESULTS, help=f"default {_RESULTS.name}")
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    report = {
        "machine": hardware_info(),
        "versions": versions(),
        "large": measure_large(options.rounds),
        "medium": measure_medium(options.rounds),
        "scalars": measure_scalars(options.rounds),
    }
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({part: report[part] for part in ("large", "medium", "scalars")}, indent=2))


if __name__ == "__main__":
    main()

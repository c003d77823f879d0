"""Figures of leyden in its use: a step of the trainer, and a transform that takes its time."""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from benchmarks import targets
from benchmarks.measuring import (
    Contestant,
    Stretch,
    exhaust,
    median_ratio,
    medians,
    rounded,
    rows_per_second,
    take_turns,
)
from benchmarks.peers import PerSample, Setting, leyden_module
from benchmarks.shapes import Stored
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from typing_extensions import override

from leyden.data import Augmentor, Draws

_NUM_STEPS, _WARM_STEPS = 2_000, 100
_NUM_SHARDS = 4  # of images, for the transform
_SHUFFLE = "window:8"


def trainer_step(stored: Stored, rounds: int) -> dict[str, Any]:
    """Time of a step of a tiny model on leyden's batches, beside one on a constant batch.

    The constant batch comes without a data module, and once more from one: at each batch the
    trainer looks for hooks of a data module, whichever it is. And beside a step in which a callback
    asks for the set numbers, which is all that tracking is: what nobody asks for is not worked out.
    """
    setting = Setting(batch_size=32, is_shuffled=True, num_workers=0)
    new_module = partial(leyden_module, stored, setting, _SHUFFLE)
    constant = _Constant(next(iter(new_module().train_dataloader())))
    feeds: dict[str, Callable[[], dict[str, Any]]] = {
        "leyden": lambda: {"datamodule": new_module()},
        "leyden, asked": lambda: {"datamodule": new_module()},
        "constant": lambda: {"train_dataloaders": constant},
        "constant, data module": lambda: {"datamodule": _Module(constant)},
    }
    with TemporaryDirectory() as folder:
        measures = {
            name: partial(_step, Path(folder), feed, asks=name == "leyden, asked")
            for name, feed in feeds.items()
        }
        measures["leyden, no step"] = partial(_no_step, new_module().train_dataloader())
        figures = take_turns(measures, rounds, warms=True)
    step, asked = figures["leyden"], figures["leyden, asked"]
    medium = medians(figures, 4)
    making = 1e3 * medium["leyden, no step"]
    more = 1e3 * (medium["constant, data module"] - medium["constant"])
    judged = targets.STEP.judge(median_ratio(step, figures["constant"]))
    if judged["target"] == "missed":
        judged["bounded_by"] = (
            f"to make a batch takes {making:.1f} microseconds; on a constant batch a step takes"
            f" {more:.1f} longer if it comes from a data module; the rest is what rows take that"
            " are not in the cache yet"
        )
    return {
        "milliseconds_per_step": medium,
        "ratio_to_constant": judged,
        "ratio_to_constant_from_a_data_module": median_ratio(
            step, figures["constant, data module"]
        ),
        "asked_to_not_asked": targets.TRACKING.judge(median_ratio(asked, step)),
    }


def _no_step(loader: Iterable[Any]) -> float:
    began = time.perf_counter()
    exhaust(islice(loader, _NUM_STEPS))
    return 1e3 * (time.perf_counter() - began) / _NUM_STEPS


class _Constant:
    """One batch, over and over."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return _NUM_STEPS

    def __iter__(self) -> Iterator[Any]:
        for _ in range(_NUM_STEPS):
            yield self._batch


class _Module(LightningDataModule):
    """Hands out one loader.

    Args:
        loader: The loader.
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        super().__init__()
        self._loader = loader

    @override
    def train_dataloader(self) -> Any:
        return self._loader


class _Tiny(LightningModule):
    """As little as can be trained."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 10)

    @override
    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        inputs, labels = batch
        return nn.functional.cross_entropy(self.layer(inputs), labels)

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class _Clock(Callback):
    """Times the steps after the first few."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if batch_idx == _WARM_STEPS - 1:
            self.began = time.perf_counter()
        elif batch_idx == _NUM_STEPS - 1:
            self.ended = time.perf_counter()


class _Asking(Callback):
    """Asks which sets every batch is from, or only might."""

    def __init__(self, *, asks: bool) -> None:
        self._asks = asks

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined] # which it has
        epoch = trainer.current_epoch
        if self._asks:
            self.last = data.origin("train", epoch, batch_idx).set_numbers


def _step(folder: Path, feed: Callable[[], dict[str, Any]], *, asks: bool) -> float:
    clock = _Clock()
    trainer = Trainer(
        max_epochs=1,
        limit_train_batches=_NUM_STEPS,
        accelerator="cpu",
        callbacks=[clock, _Asking(asks=asks)],
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(_Tiny(), **feed())
    return 1e3 * (clock.ended - clock.began) / (_NUM_STEPS - _WARM_STEPS)


def heavy_transform(stored: Stored, rounds: int) -> dict[str, Any]:
    """Rows per second where each takes about a millisecond of work, with and without workers."""
    work, seconds = _calibrate()
    numbers = range(1, min(_NUM_SHARDS, stored.shape.num_shards) + 1)
    num_rows = min(len(numbers) * stored.shape.shard_rows, stored.shape.num_rows)
    alone, helped = (Setting(32, is_shuffled=True, num_workers=number) for number in (0, 2))

    def ours(setting: Setting) -> Iterable[Any]:
        return leyden_module(
            stored, setting, _SHUFFLE, train=list(numbers), augmentors=[_Heavy(work)]
        ).train_dataloader()

    by_hand = Subset(PerSample(stored, change=partial(_work_on, work)), range(num_rows))
    loaders: dict[str, Iterable[Any]] = {
        "leyden": ours(alone),
        "leyden, 2 workers": ours(helped),
        "maps, 2 workers": DataLoader(by_hand, shuffle=True, **helped.loading),
    }
    stretch = Stretch(num_rows, num_epochs=1)
    measures = {
        name: partial(rows_per_second, Contestant(name, partial(_same, loader), num_rows), stretch)
        for name, loader in loaders.items()
    }
    figures = take_turns(measures, rounds, warms=True)
    mine = figures["leyden, 2 workers"]
    return {
        "milliseconds_per_row": rounded(1e3 * seconds, 3),
        "rows_measured": num_rows,
        "rows_per_second": medians(figures, 0),
        "ratio_to_maps_with_2_workers": median_ratio(mine, figures["maps, 2 workers"]),
        "ratio_to_leyden_without": median_ratio(mine, figures["leyden"]),
    }


def _same(loader: Iterable[Any]) -> Iterable[Any]:
    return loader


def _calibrate() -> tuple[int, float]:
    """Find out how much work takes a millisecond, and how long it really takes."""
    _work(500)
    began = time.perf_counter()
    _work(500)
    number = max(1, round(500 * 1e-3 / (time.perf_counter() - began)))
    began = time.perf_counter()
    for _ in range(20):
        _work(number)
    return number, (time.perf_counter() - began) / 20


def _work(number: int) -> None:
    values = np.linspace(0, 1, 4096, dtype=np.float32)
    for _ in range(number):
        np.tanh(values, out=values)


def _work_on(number: int, row: Tensor) -> Tensor:
    _work(number)
    return row


class _Heavy(Augmentor):
    """Changes nothing, at length."""

    def __init__(self, work: int) -> None:
        self._work = work

    @override
    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        for _ in images:
            _work(self._work)
        return images

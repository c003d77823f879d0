"""Runs that go on from the checkpoint of every step, in each of its moments."""

import random
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import CombinedLoader
from loader_table import Counting, SizedCounting, StatefulRows
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from typing_extensions import override

from leyden.callbacks import ExactResume
from leyden.data import AutoDataModule
from leyden.shards import write_shards


class Epochs(IterableDataset[Tensor]):
    """Counts the epochs as it begins, as it ends, or counts all rows, and goes by that."""

    def __init__(self, counts: str, length: int = 4) -> None:
        self.counts, self.length, self.count = counts, length, 0

    @override
    def __iter__(self) -> Iterator[Tensor]:
        self.count += self.counts == "begin"
        for index in random.Random(self.count).sample(range(self.length), self.length):
            self.count += self.counts == "row"
            yield torch.tensor([float(index), self.count, random.random()])
        self.count += self.counts == "end"


class Passes:
    """An iterable of a project's own, which counts at once how often it is gone through."""

    count = 0

    def __iter__(self) -> Iterator[Tensor]:
        self.count += 1
        return iter([torch.tensor([float(self.count), index]) for index in range(4)])


class Repeating(SizedCounting):
    """Begins an epoch that was left again, as leyden's loaders do."""

    @override
    def __iter__(self) -> Iterator[Tensor]:
        if not self.is_loaded and 0 < self.at < self.length:
            self.epoch -= 1
        return super().__iter__()


class Staying(SizedCounting):
    """Has nothing more to give where it was put back to its end."""

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.is_loaded = True


@cache
def shards(length: int) -> Path:
    folder = Path(mkdtemp())
    write_shards(folder, {1: torch.arange(2.0 * length).reshape(length, 2).numpy()})
    return folder


def leyden(num_batches: int) -> Any:
    data = AutoDataModule(shards(2 * num_batches), batch_size=2, train=[1])
    data.setup("fit")
    return data.train_dataloader()


def beside(mode: Any, shorter: Callable[[], Any], dataset: Callable[[], Any]) -> Any:
    return CombinedLoader([shorter(), DataLoader(dataset())], mode)


CASES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "counting at the beginning": (lambda: DataLoader(Epochs("begin")), {}),
    "counting at the end": (lambda: DataLoader(Epochs("end")), {}),
    "counting rows": (lambda: DataLoader(Epochs("row")), {}),
    "counting, two by two": (lambda: DataLoader(Epochs("row"), 2), {"accumulate_grad_batches": 2}),
    "counting, made anew": (
        lambda: DataLoader(Epochs("begin")),
        {"reload_dataloaders_every_n_epochs": 1},
    ),
    "counting, an iterable": (Passes, {}),
    **{
        f"{name} beside a longer one, {mode}": (partial(beside, mode, make, partial(range, 5)), {})
        for mode in ("max_size", "max_size_cycle", "min_size")
        for name, make in {
            "leyden's of 2": partial(leyden, 2),
            "leyden's of 3": partial(leyden, 3),
            "counting": partial(SizedCounting, 2),
            "repeating": partial(Repeating, 3),
            "staying": partial(Staying, 2),
            "random rows": partial(StatefulRows, 2, "torch"),
        }.items()
    },
    **{
        f"{name} beside a stream, {mode}": (partial(beside, mode, make, partial(Epochs, "row")), {})
        for mode in ("max_size", "max_size_cycle")
        for name, make in {
            "leyden's": partial(leyden, 2),
            "staying": partial(Staying, 2),
            "without a length": partial(Counting, 2),
        }.items()
    },
    **{
        f"{name}, left": (make, {"limit_train_batches": 3})
        for name, make in {
            "leyden's": partial(leyden, 4),
            "counting": partial(SizedCounting, 4),
            "staying": partial(Staying, 5),
        }.items()
    },
}
_DEFAULT = {
    "counting at the beginning",
    "counting at the end",
    "counting rows",
    "counting, an iterable",
    "leyden's of 2 beside a longer one, max_size",
    "leyden's of 3 beside a longer one, max_size_cycle",
    "staying beside a longer one, max_size_cycle",
    "counting, left",
}


class Seeing(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(1, 1)
        self.seen: list[Any] = []

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        rows = [one.tolist() for one in torch.utils._pytree.tree_leaves(batch) if one is not None]
        self.seen.append([self.current_epoch, rows])
        total = sum(torch.tensor(row).sum() for row in rows)
        return self.net(torch.as_tensor(total).reshape(1, 1) / 100 + torch.rand(())).mean()

    @override
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.01)


def fit(folder: Path, case: str, checkpoint: Path | None = None) -> tuple[list[Any], list[Any]]:
    is_first = checkpoint is None
    seed_everything(0 if is_first else 1, verbose=False)
    make, options = CASES[case]
    module = Seeing()
    module.train_dataloader = make  # type: ignore[method-assign] # as projects may do
    often: dict[str, Any] = {"filename": "{epoch}-{step}", "save_top_k": -1}
    at_batch_ends = ModelCheckpoint(folder / "b", every_n_train_steps=1, **often)
    at_epoch_ends = ModelCheckpoint(folder / "e", save_on_train_epoch_end=True, **often)
    every, keep = (1, 99) if is_first else (99, 1)
    resume = ExactResume(folder / "c", every_n_steps=every, every_seconds=None, keep=keep)
    Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_checkpointing=is_first,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[resume, *([at_batch_ends, at_epoch_ends] if is_first else [])],
        **options,
    ).fit(module, ckpt_path=checkpoint)
    return module.seen, [one.tolist() for one in module.parameters()]


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")  # to which none write
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=() if case in _DEFAULT else pytest.mark.slow, id=case)
        for case in CASES
    ],
)
def test_a_run_goes_on_from_every_stop(case: str, tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", case)
    stops = sorted((tmp_path / "whole").glob("*/*.ckpt"))
    assert {path.parent.name for path in stops} == {"b", "c", "e"}
    for stop in stops:
        assert fit(tmp_path / stop.parent.name / stop.stem, case, stop) == whole, stop

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import Tensor, nn
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.callbacks import ExtraLoaders, StageHooks
from leyden.data import AutoDataModule
from leyden.errors import DataError
from leyden.lifecycle import Hook, Results
from leyden.shards import write_shards

Quick = Callable[..., Trainer]


class Reading(Hook):
    """Reads results of both the train batch and another."""

    def __init__(self, *paths: str) -> None:
        self.paths = paths
        self.rows: list[list[Any]] = []

    @override
    def after_step(self, step: int, results: Results) -> None:
        self.rows.append([results[path] for path in self.paths])


def first(module: Any, inputs: Tensor, **_: Any) -> float:
    assert not module.training
    assert not torch.is_grad_enabled()
    return inputs[0, 0].item()


def rows(*values: float) -> Any:
    return torch.tensor(values, dtype=torch.float32)[:, None].expand(-1, 32).contiguous()


def test_one_batch_of_the_loader_is_run_in_a_step_and_the_loader_has_no_end(quick: Quick) -> None:
    fetched: list[float] = []

    class Noting(DataLoader[Any]):
        @override
        def __iter__(self) -> Any:
            for batch in super().__iter__():
                fetched.append(batch[0, 0].item())
                yield batch

    reading = Reading("first", "validation/first", "validation/nested/again")
    fetches = {"first": first, "nested": {"again": first}}
    loaders = ExtraLoaders({"validation": Noting(rows(10, 20)), "unused": None})
    train: Any = DataLoader(rows(1, 2, 3))
    quick(StageHooks([reading, loaders], fetches)).fit(BoringModel(), train, train)
    assert reading.rows == [[1, 10, 10], [2, 20, 20], [3, 10, 10]]
    assert fetched == [10, 20, 10]


def test_a_loader_may_be_made_when_it_is_needed(quick: Quick) -> None:
    made: list[int] = []

    def make() -> Any:
        made.append(1)
        return [rows(7)]

    idle, reading = ExtraLoaders({"validation": make}), Reading("validation/first")
    quick(StageHooks([idle], {"first": first})).fit(BoringModel())
    assert made == []
    used = ExtraLoaders({"validation": make}, {"first": first})
    quick(StageHooks([used, reading]), limit_train_batches=1).fit(BoringModel())
    assert made == [1]
    assert reading.rows == [[7]]


def test_training_is_the_same_bit_for_bit(quick: Quick) -> None:
    class Dropping(BoringModel):
        def __init__(self) -> None:
            super().__init__()
            self.layer: Any = nn.Sequential(
                nn.Linear(32, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 2)
            )

    def train(*hooks: Any) -> dict[str, Tensor]:
        torch.manual_seed(0)
        module = Dropping()
        shuffled: Any = DataLoader(torch.randn(64, 32), batch_size=8, shuffle=True)  # type: ignore[arg-type] # a tensor has rows
        fetches = {"out": lambda module, inputs: module(inputs) + torch.randn(1)}
        quick(StageHooks(hooks, fetches), max_epochs=2).fit(module, shuffled, DataLoader(rows(1.0)))
        return module.state_dict()

    other: Any = DataLoader(torch.randn(64, 32), batch_size=4, shuffle=True)  # type: ignore[arg-type] # a tensor has rows
    plain, watched = train(), train(ExtraLoaders({"validation": other}), Reading("validation/out"))
    assert all(torch.equal(plain[name], watched[name]) for name in plain)


def test_a_loader_without_batches_is_an_error(quick: Quick) -> None:
    hooks = [ExtraLoaders({"validation": []}), Reading("validation/first")]
    with pytest.raises(DataError, match="the loader `validation` to have batches, but got none"):
        quick(StageHooks(hooks, {"first": first})).fit(BoringModel())


@pytest.fixture
def data(tmp_path: Path) -> AutoDataModule:
    sets = {number: np.full((4, 32), number, np.float32) for number in range(1, 6)}
    write_shards(tmp_path / "shards", sets)
    return AutoDataModule(tmp_path / "shards", val=[4, 5], batch_size=4, shuffle="none")


def test_batches_of_a_phase_leave_the_place_in_the_data_alone(
    quick: Quick, data: AutoDataModule
) -> None:
    names: list[str] = []

    def note(run: Any) -> None:
        names.append(run.data.status.name)

    reading = Reading("first", "validation/first")
    hooks = [ExtraLoaders({"validation": "val"}), reading, {"train:iter": note}]
    quick(StageHooks(hooks, {"first": first}), max_epochs=2).fit(BoringModel(), data)
    assert reading.rows == [[1, 4], [2, 5], [3, 4], [1, 5], [2, 4], [3, 5]]
    assert names == ["1", "2", "3"] * 2


def test_batches_of_a_phase_go_on_after_an_interruption(
    quick: Quick, data: AutoDataModule, tmp_path: Path
) -> None:
    def make() -> tuple[StageHooks, Reading]:
        reading = Reading("validation/first")
        return StageHooks([ExtraLoaders({"validation": "val"}), reading], {"first": first}), reading

    hooks, reading = make()
    trainer = quick(hooks)
    trainer.fit(BoringModel(), data)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    hooks, resumed = make()
    quick(hooks, max_epochs=2).fit(BoringModel(), data, ckpt_path=tmp_path / "one.ckpt")
    assert reading.rows + resumed.rows == [[4], [5], [4], [5], [4], [5]]

"""When schedules step, for how long, and what they watch."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler, ModelCheckpoint
from torch.nn import Parameter
from torch.optim import SGD
from typing_extensions import override

from leyden.data import AutoDataModule
from leyden.errors import ConfigError
from leyden.modules import RegressorModule
from leyden.modules.scheduling import make_schedule
from leyden.shards import write_shards

MakeTrainer: TypeAlias = Callable[..., Trainer]


class Rates(Callback):
    """Notes the learning rate of every step."""

    def __init__(self) -> None:
        self.noted: list[float] = []

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.noted.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.fixture
def data(tmp_path: Path) -> AutoDataModule:
    """Six training batches of ten rows."""
    random = np.random.default_rng(0)
    rows: Any = {number: random.normal(size=(10, 3)).astype(np.float32) for number in range(8)}
    write_shards(tmp_path / "d", rows, labels={n: part.sum(1) for n, part in rows.items()})
    return AutoDataModule(tmp_path / "d", val=[6], test=[7], batch_size=10)


@pytest.fixture
def rates(data: AutoDataModule, make_trainer: MakeTrainer) -> Callable[..., list[float]]:
    """Train, and give the learning rate of every step, as shares of the full one."""

    def note(scheduler: Any, **settings: Any) -> list[float]:
        callback = Rates()
        module = RegressorModule(optimizer={"type": "sgd", "lr": 0.01}, scheduler=scheduler)
        settings = {"max_epochs": 4, "enable_checkpointing": False, **settings}
        make_trainer(callbacks=[callback], **settings).fit(module, data)
        return [rate / 0.01 for rate in callback.noted]

    return note


def cosine(step: int, total: int) -> float:
    return (1 + math.cos(math.pi * step / total)) / 2


def test_auto_is_the_epochs_of_the_run(rates: Callable[..., list[float]]) -> None:
    found = rates({"type": "cosine", "T_max": "auto"})
    assert found == pytest.approx([cosine(step // 6, 4) for step in range(24)])


def test_auto_is_the_steps_of_the_run(rates: Callable[..., list[float]]) -> None:
    found = rates({"type": "cosine", "T_max": "auto", "interval": "step"})
    assert found == pytest.approx([cosine(step, 24) for step in range(24)])


def test_auto_counts_steps_of_the_optimizer(rates: Callable[..., list[float]]) -> None:
    recipe = {"type": "cosine", "T_max": "auto", "interval": "step"}
    found = rates(recipe, accumulate_grad_batches=3)
    assert found == pytest.approx([cosine(step // 3, 8) for step in range(24)])


@pytest.mark.parametrize("max_epochs", [-1, 9])
def test_auto_is_the_limit_of_steps(rates: Callable[..., list[float]], max_epochs: int) -> None:
    recipe = {"type": "cosine", "T_max": "auto", "interval": "step"}
    found = rates(recipe, max_steps=10, max_epochs=max_epochs)
    assert found == pytest.approx([cosine(step, 10) for step in range(10)])


def test_auto_is_the_epochs_that_a_limit_of_steps_leaves(
    rates: Callable[..., list[float]],
) -> None:
    recipe = {"type": "cosine", "T_max": "auto"}
    found = rates(recipe, max_steps=10, max_epochs=9)
    assert found == pytest.approx([1.0] * 6 + [0.5] * 4)  # of two epochs, one of them a part
    found = rates(recipe, max_steps=6, max_epochs=9, accumulate_grad_batches=4)
    steps = [cosine(step // 6, 3) for step in range(18)]  # two steps of the optimizer in an epoch
    assert found == pytest.approx(steps)


def test_a_schedule_may_step_less_often(rates: Callable[..., list[float]]) -> None:
    recipe = {"type": "cosine", "T_max": "auto", "frequency": 2}
    assert rates(recipe) == pytest.approx([cosine(step // 12, 2) for step in range(24)])
    recipe = {"type": "exponential", "gamma": 0.5, "interval": "step", "frequency": 4}
    found = rates(recipe, max_epochs=2)  # after the fourth step of each epoch
    assert found == pytest.approx([1.0] * 4 + [0.5] * 6 + [0.25] * 2)


# torch 2.6 warns of what its own schedule does.
@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step:UserWarning")
def test_the_rate_rises_evenly_before_the_schedule_begins(
    rates: Callable[..., list[float]],
) -> None:
    recipe = {"type": "cosine", "T_max": "auto", "interval": "step", "warmup": 4}
    rise = [1 / 5, 2 / 5, 3 / 5, 4 / 5]
    assert rates(recipe) == pytest.approx(rise + [cosine(step, 20) for step in range(20)])


def test_one_cycle_goes_up_and_comes_down_with_the_run(rates: Callable[..., list[float]]) -> None:
    recipe = {"type": "onecycle", "max_lr": 0.05, "total_steps": "auto", "interval": "step"}
    found = rates(recipe)
    optimizer = SGD([Parameter(torch.ones(1))], lr=0.01)
    by_torch = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=24)
    for rate in found:
        assert rate * 0.01 == pytest.approx(by_torch.get_last_lr()[0])
        optimizer.step()
        by_torch.step()
    assert max(found) == pytest.approx(5, rel=0.01)
    assert found[-1] < 0.01


def test_a_plateau_is_of_what_does_not_fall_any_more(rates: Callable[..., list[float]]) -> None:
    recipe = {"type": "plateau", "patience": 0, "factor": 0.1, "threshold": 1e9}
    # Nothing is ever better by so much.
    assert rates(recipe) == pytest.approx([1.0] * 6 + [0.1] * 6 + [0.01] * 6 + [0.001] * 6)


class Watching(Callback):
    """Notes what the schedule watches."""

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.noted = trainer.lr_scheduler_configs[0].monitor


@pytest.mark.parametrize(
    ("val", "settings", "expected"),
    [
        ([6], {}, "val/loss"),
        (None, {}, "train/loss"),
        ([6], {"limit_val_batches": 0}, "train/loss"),
    ],
)
def test_a_plateau_is_of_the_training_loss_where_nothing_is_held_out(
    data: AutoDataModule,
    tmp_path: Path,
    make_trainer: MakeTrainer,
    val: Any,
    settings: dict[str, Any],
    expected: str,
) -> None:
    data = AutoDataModule(tmp_path / "d", val=val, batch_size=10)
    watching = Watching()
    settings = {"max_epochs": 2, "enable_checkpointing": False, **settings}
    make_trainer(callbacks=[watching], **settings).fit(RegressorModule(scheduler="plateau"), data)
    assert watching.noted == expected


def test_what_is_watched_can_be_told() -> None:
    optimizer = SGD([Parameter(torch.ones(1))], lr=0.1)
    recipe = {"type": "plateau", "monitor": "val/mae", "interval": None, "frequency": None}
    timed = make_schedule(optimizer, recipe)
    assert (timed["monitor"], timed["interval"], timed["frequency"]) == ("val/mae", "epoch", 1)
    assert recipe["monitor"] == "val/mae"  # it can be used again


@pytest.mark.parametrize(
    ("recipe", "problem"),
    [
        ({"type": "plateau", "frequency": 0}, "`frequency` .* whole number from 1, but got 0[.]"),
        ({"type": "plateau", "warmup": 0.5}, "`warmup` .* a whole number from 0, but got 0.5[.]"),
        ({"type": "plateau", "warmup": 3}, "can begin later, for a `warmup`, but got ReduceLROnP"),
        (
            {"type": "onecycle", "max_lr": 1.0, "total_steps": 9, "warmup": 3},
            "can begin later, for a `warmup`, but got OneCycleLR[.] Leave `warmup` out[.]",
        ),
        (
            {"type": "cosine", "T_max": "auto"},
            "known number of epochs for the scheduler's 'auto', but",
        ),
        (
            {"interval": "step"},
            "Expected `scheduler` to have a `type`, but got {'interval': 'step'",
        ),
    ],
)
def test_what_cannot_be_scheduled_is_refused(recipe: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_schedule(SGD([Parameter(torch.ones(1))], lr=0.1), recipe)


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_auto_needs_an_end(data: AutoDataModule, make_trainer: MakeTrainer, interval: str) -> None:
    module = RegressorModule(scheduler={"type": "cosine", "T_max": "auto", "interval": interval})
    problem = f"of {interval}s for the scheduler's 'auto', but it has none[.] Pass `max_epochs`, or"
    with pytest.raises(ConfigError, match=problem):
        make_trainer(max_epochs=-1).fit(module, data)


@pytest.fixture
def train_on_windows(tmp_path: Path, make_trainer: MakeTrainer) -> Callable[..., Any]:
    """Train in two windows, six steps, or in three, nine steps, by where they start: at 4 or 0."""
    rows: Any = {number: np.ones((10, 12, 2), np.float32) for number in range(3)}
    write_shards(tmp_path / "s", rows, labels={n: part[:, 0, 0] for n, part in rows.items()})

    def train(
        starts: tuple[int, ...],
        recipe: Any,
        sets: list[int] | None = None,
        path: Path | None = None,
        **settings: Any,
    ) -> Trainer:
        windows = {"size": 4, "starts": starts}
        data = AutoDataModule(tmp_path / "s", val=None, batch_size=10, windows=windows)
        if sets is not None:
            data.schedule("train", sets)
        trainer = make_trainer(**{"max_epochs": 4, "enable_checkpointing": False, **settings})
        trainer.fit(RegressorModule("lstm", scheduler=recipe), data, ckpt_path=path)
        return trainer

    return train


ONE_CYCLE = {"type": "onecycle", "max_lr": 0.05, "total_steps": "auto", "interval": "step"}


@pytest.mark.parametrize("starts", [(4, 0), (0, 4)])
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 6 + 9 + 6 + 9),
        ({"sets": [1, 1]}, 4 + 6 + 4 + 6),
        ({"accumulate_grad_batches": 4}, 2 + 3 + 2 + 3),
        ({"limit_train_batches": 7}, 6 + 7 + 6 + 7),
        ({"limit_train_batches": 0.5}, 3 + 4 + 3 + 4),
        ({"overfit_batches": 8}, 6 + 8 + 6 + 8),
        ({"max_steps": 16}, 16),
        ({"max_steps": 16, "max_epochs": -1}, 16),
    ],
)
def test_steps_are_counted_where_epochs_have_more_and_less_of_them(
    train_on_windows: Callable[..., Any],
    starts: tuple[int, ...],
    settings: dict[str, Any],
    expected: int,
) -> None:
    trainer = train_on_windows(starts, ONE_CYCLE, **settings)
    assert trainer.global_step == expected
    assert trainer.lr_scheduler_configs[0].scheduler.total_steps == expected


def test_steps_are_counted_where_each_is_of_other_numbers_of_batches(
    train_on_windows: Callable[..., Any],
) -> None:
    of_two = GradientAccumulationScheduler({1: 2})
    trainer = train_on_windows((4, 0), ONE_CYCLE, callbacks=[of_two])
    assert trainer.global_step == 6 + 5 + 3 + 5
    assert trainer.lr_scheduler_configs[0].scheduler.total_steps == trainer.global_step


@pytest.mark.parametrize(("max_steps", "expected"), [(6, 1), (7, 2), (15, 2), (16, 3), (99, 4)])
def test_epochs_are_counted_where_they_have_more_and_fewer_steps(
    train_on_windows: Callable[..., Any], max_steps: int, expected: int
) -> None:
    trainer = train_on_windows((4, 0), {"type": "cosine", "T_max": "auto"}, max_steps=max_steps)
    assert trainer.lr_scheduler_configs[0].scheduler.T_max == expected


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")
def test_a_run_that_goes_on_is_as_long_as_it_was(
    tmp_path: Path, train_on_windows: Callable[..., Any]
) -> None:
    keep = ModelCheckpoint(tmp_path / "saved", "{step}", every_n_train_steps=8, save_top_k=-1)
    whole, rest = Rates(), Rates()
    train_on_windows((0, 4), ONE_CYCLE, callbacks=[keep, whole], enable_checkpointing=True)
    path = tmp_path / "saved" / "step=8.ckpt"
    train_on_windows((0, 4), ONE_CYCLE, path=path, callbacks=[rest])
    assert rest.noted == whole.noted[8:]

"""Defects of an older system in what is done while a run goes on; none of them is here."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import Logger
from torch import Tensor
from typing_extensions import override

from leyden.callbacks import (
    ArrayLog,
    BatchMonitor,
    HistoryFigure,
    Reseeder,
    RunCard,
    StageHooks,
    ThresholdTuner,
)
from leyden.callbacks.run_facts import train_state
from leyden.data import AutoDataModule
from leyden.errors import ConfigError
from leyden.generators import global_state, restore_global_state
from leyden.lifecycle import Every, HookSet, RunView
from leyden.report import draw_history
from leyden.runs import RunDir
from leyden.shards import write_shards
from leyden.tracking import FileLogger, read_ledger, read_metrics

Quick = Callable[..., Trainer]


@pytest.fixture(autouse=True)
def put_the_generators_back() -> Iterator[None]:
    state = global_state()
    yield
    restore_global_state(state)


class Falling(BoringModel):
    """Its validation loss falls, and rises again after the third time."""

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        output: Any = super().training_step(batch, batch_idx)
        self.log("train/loss", output["loss"])
        return output

    @override
    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        self.log("val/loss", 2000.0 + abs(self.current_epoch - 2))


# D20: a frequency in a unit that does not exist was taken, and never came.
@pytest.mark.parametrize("unit", ["epoch", "steps", "train:epoch"])
def test_frequency_in_an_unknown_unit_is_refused(unit: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{unit}'"):
        Every(**{unit: 1})
    stage: Any = unit.replace("train:", "train_")
    with pytest.raises(ConfigError, match=f"but got '{stage}'"):
        StageHooks([{stage: print}])
    with pytest.raises(ConfigError, match=f"but got '{stage}'"):
        Reseeder(0, {stage: 1})


# D20: and each one that is taken does come.
@pytest.mark.parametrize(
    ("every", "times"),
    [
        (Every(iters=1), 6),
        (Every(batches=2), 3),
        (Every(epochs=1), 2),
        (Every(validations=1), 2),
    ],
)
def test_every_frequency_that_is_taken_comes(quick: Quick, every: Every, times: int) -> None:
    stages: list[Any] = []
    hooks = StageHooks([{every: lambda run: stages.append(run.stage)}])
    quick(hooks, max_epochs=2).fit(BoringModel())
    assert len(stages) == times


class Looking(LightningModule):
    """Notes which sets its batch is of, and which ones the data says that it is of."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen: list[tuple[Any, Any]] = []

    def look(self, batch: Tensor) -> None:
        data = self.trainer.datamodule  # type: ignore[attr-defined] # set outside its class
        self.seen.append((sorted(set(batch.flatten().tolist())), sorted(data.status.set_numbers)))

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.look(batch)
        loss: Tensor = self.layer(batch).sum()
        return loss

    @override
    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.look(batch)

    @override
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 1e-3)


# D22: the number of the set at hand was that of the first one for ever.
def test_number_of_the_set_is_that_of_the_batch_at_hand(tmp_path: Path, quick: Quick) -> None:
    sets = {number: np.full((3, 1), number, np.float32) for number in range(7)}
    write_shards(tmp_path / "d", sets)
    module, data = Looking(), AutoDataModule(tmp_path / "d", val=[4, 5], test=[6], batch_size=2)
    monitor = BatchMonitor(tmp_path / "batches.parquet")
    whole = {"limit_train_batches": 1.0, "limit_val_batches": 1.0}
    quick(monitor, max_epochs=2, num_sanity_val_steps=0, **whole).fit(module, data)
    assert len({tuple(really) for really, _ in module.seen}) > 4
    assert all(really == told for really, told in module.seen)
    rows = read_ledger(tmp_path / "batches.parquet").to_pylist()
    assert [sorted(row["sets"]) for row in rows] == [really for really, _ in module.seen]


# D25: every validation was counted twice.
@pytest.mark.parametrize("between", [1.0, 1])
def test_each_validation_counts_once(quick: Quick, between: float) -> None:
    counts: list[int] = []
    hooks = StageHooks([{"val_end": lambda run: counts.append(run.counters.num_validations)}])
    trainer = quick(hooks, max_epochs=10, val_check_interval=between, limit_train_batches=2)
    trainer.fit(BoringModel())
    assert counts == list(range(1, 11 if between == 1.0 and isinstance(between, float) else 21))


# D26, D23: the best value was known only if a folder for the best model was given, and below 999.
def test_best_value_is_known_without_any_checkpoint(tmp_path: Path, quick: Quick) -> None:
    stopping = EarlyStopping("val/loss", patience=9)
    trainer = quick(stopping, logger=FileLogger(tmp_path), max_epochs=5, log_every_n_steps=1)
    trainer.fit(Falling())
    assert not list(tmp_path.rglob("*.ckpt"))
    assert train_state(trainer)["best val/loss"] == 2000.0
    history = read_metrics(RunDir(tmp_path).metrics_path)
    (ax,) = draw_history({"val/loss": history["val/loss"]}).axes
    assert ax.get_lines()[-1].get_ydata() == 2000.0


class Binary(BoringModel):
    """Gives scores that are known beforehand."""

    @override
    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        return {
            "scores": torch.tensor([0.1, 0.4, 0.35, 0.8]),
            "targets": torch.tensor([0, 0, 1, 1]),
        }


# D26: nor does the threshold need one.
def test_threshold_is_known_without_any_checkpoint(quick: Quick) -> None:
    tuner = ThresholdTuner("f1")
    quick(tuner).fit(Binary())
    assert tuner.threshold == 0.34
    assert tuner.metric == pytest.approx(0.8)


class Interrupting(Logger):
    """A tracker during whose work Ctrl-C is pressed."""

    name = version = ""

    @override
    def log_metrics(self, *_: Any, **__: Any) -> None:
        """Take them."""

    @override
    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Take them."""

    def log_figure(self, *_: Any) -> None:
        raise KeyboardInterrupt


# D28: Ctrl-C while something was drawn, logged or reported was swallowed.
@pytest.mark.parametrize("callback", [HistoryFigure, RunCard])
def test_ctrl_c_while_something_is_drawn_ends_the_run(
    tmp_path: Path, quick: Quick, callback: Any
) -> None:
    loggers = [FileLogger(tmp_path), Interrupting()]
    trainer = quick(callback(), logger=loggers, log_every_n_steps=1)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        trainer.fit(Falling())


@pytest.mark.parametrize("stage", ["train:iter", "val:batch", "val_end", "save"])
def test_ctrl_c_in_a_function_of_ones_own_ends_the_run(quick: Quick, stage: str) -> None:
    def interrupt(_: RunView) -> None:
        raise KeyboardInterrupt

    trainer = quick(StageHooks([{stage: interrupt}]), enable_checkpointing=True)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        trainer.fit(BoringModel())


# D37: the figure of the history had another name than the one it was looked for by.
def test_pictures_of_a_run_are_where_they_are_looked_for(tmp_path: Path, quick: Quick) -> None:
    trainer = quick(HistoryFigure(), RunCard(), logger=FileLogger(tmp_path), log_every_n_steps=1)
    trainer.fit(Falling())
    run = RunDir(tmp_path)
    for path in (run.history_path, run.card_path):
        assert path.read_bytes().startswith(b"\x89PNG")


# D54: validations at the end of an epoch were not counted among validations.
@pytest.mark.parametrize(("interval", "times"), [(1.0, 2), (2, 4)])
def test_validations_that_end_an_epoch_count(quick: Quick, interval: float, times: int) -> None:
    reseeder = Reseeder(0, {"val_end": 1})
    counts: list[int] = []
    hooks = StageHooks([reseeder, {Every(validations=1): lambda run: counts.append(1)}])
    options = {"max_epochs": 2, "limit_train_batches": 4, "val_check_interval": interval}
    quick(hooks, **options).fit(BoringModel())
    assert reseeder.seeds["torch"] == len(counts) == times


# D55: the number 0, of a log or of a seed, was taken for none.
def test_zero_is_a_number(tmp_path: Path) -> None:
    trainer = SimpleNamespace(is_global_zero=True, fast_dev_run=False)
    run, log = RunView(trainer, BoringModel(), tmp_path), ArrayLog(weights="*")
    run.stage = "save"
    for run.counters.num_iters in (0, 1):
        log(run)
    names = ["save_0000000.safetensors", "save_0000001.safetensors"]
    assert sorted(path.name for path in (tmp_path / "arrays").iterdir()) == names
    random.seed(0)
    expected = random.random()
    HookSet(Reseeder(0, {"save": 1})).fire(run, "load")
    assert random.random() == expected

"""The ledger of what is being fit."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from typing_extensions import override

from leyden.callbacks import BatchMonitor
from leyden.data import AutoDataModule
from leyden.runs import RunDir
from leyden.shards import write_shards
from leyden.tracking import FileLogger, read_ledger

LOADER: DataLoader[Any] = DataLoader(TensorDataset(torch.ones(4, 2)), batch_size=2)
ONE_EPOCH: dict[str, Any] = {"max_epochs": 1, "limit_val_batches": 0}


class Counting(BoringModel):
    """Its loss is the number of the step, so that it is known beforehand."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.weight.sum() * 0 + self.global_step

    @override
    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        return {"loss": torch.tensor([10.0 + batch_idx])}

    @override
    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        return batch[0]  # predictions, not a loss


@dataclass(frozen=True)
class Origin:
    name: str
    set_numbers: tuple[int, ...]


class Named(LightningDataModule):
    """Batch ``b`` of epoch ``e`` comes from the sets ``e`` and ``b``."""

    def origin(self, phase: str, epoch: int, batch_index: int) -> Origin:
        return Origin(f"{phase}-{epoch}+{batch_index}", (epoch, batch_index))

    @override
    def train_dataloader(self) -> DataLoader[Any]:
        return LOADER

    @override
    def val_dataloader(self) -> DataLoader[Any]:
        return LOADER

    @override
    def test_dataloader(self) -> DataLoader[Any]:
        return LOADER


class Failing(Callback):
    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == 1:
            raise RuntimeError("out of luck")


def make_trainer(folder: Path, *callbacks: Callback, **options: Any) -> Trainer:
    defaults: dict[str, Any] = {"logger": FileLogger(folder), "max_epochs": 2}
    return Trainer(
        callbacks=list(callbacks or [BatchMonitor()]),
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        log_every_n_steps=1,
        **(defaults | options),
    )


def read_columns(folder: Path, *names: str) -> list[tuple[Any, ...]]:
    rows = read_ledger(RunDir(folder).ledger_path).to_pylist()
    return [tuple(row[name] for name in names) for row in rows]


def test_every_batch_is_written_in_order(tmp_path: Path) -> None:
    make_trainer(tmp_path).fit(Counting(), Named())
    assert read_columns(tmp_path, "phase", "epoch", "batch", "step", "loss") == [
        ("train", 0, 0, 1, 0.0),
        ("train", 0, 1, 2, 1.0),
        ("val", 0, 0, 2, 10.0),
        ("val", 0, 1, 2, 11.0),
        ("train", 1, 0, 3, 2.0),
        ("train", 1, 1, 4, 3.0),
        ("val", 1, 0, 4, 10.0),
        ("val", 1, 1, 4, 11.0),
    ]


def test_data_that_knows_says_which_sets(tmp_path: Path) -> None:
    make_trainer(tmp_path, max_epochs=1).fit(Counting(), Named())
    assert read_columns(tmp_path, "name", "sets") == [
        ("train-0+0", [0, 0]),
        ("train-0+1", [0, 1]),
        ("val-0+0", [0, 0]),
        ("val-0+1", [0, 1]),
    ]


def test_plain_loader_has_no_sets(tmp_path: Path) -> None:
    make_trainer(tmp_path, max_epochs=1).fit(Counting(), LOADER, LOADER)
    assert read_columns(tmp_path, "name", "sets") == [(None, None)] * 4


def test_loaders_of_a_data_module_know_their_sets_without_it(tmp_path: Path) -> None:
    rows: Any = {number: np.ones((2, 32), np.float32) for number in (3, 4, 5)}
    write_shards(tmp_path / "d", rows)
    data = AutoDataModule(tmp_path / "d", val=[5], batch_size=3, shuffle="none")
    loaders = data.train_dataloader(), data.val_dataloader()
    trainer = make_trainer(tmp_path, max_epochs=1)
    trainer.fit(Counting(), *loaders)
    trainer.test(Counting(), [loaders[1], LOADER], verbose=False)
    names = [("3+4-a", [3, 4]), ("4-b", [4]), ("5", [5]), ("5", [5]), (None, None), (None, None)]
    assert read_columns(tmp_path, "name", "sets") == names


def test_test_after_fit_is_added_without_a_loss(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, max_epochs=1)
    trainer.fit(Counting(), Named())
    trainer.test(Counting(), Named(), verbose=False)
    rows = read_columns(tmp_path, "phase", "epoch", "batch", "name", "loss")
    assert len(rows) == 6
    assert rows[4:] == [("test", 1, 0, "test-1+0", None), ("test", 1, 1, "test-1+1", None)]


def test_another_run_in_the_folder_is_added(tmp_path: Path) -> None:
    for _ in range(2):
        make_trainer(tmp_path, max_epochs=1).fit(Counting(), Named())
    assert len(read_columns(tmp_path, "phase")) == 8


def test_validation_alone_is_written(tmp_path: Path) -> None:
    make_trainer(tmp_path).validate(Counting(), Named(), verbose=False)
    assert read_columns(tmp_path, "phase", "step") == [("val", 0), ("val", 0)]


def test_second_validation_loader_has_no_sets(tmp_path: Path) -> None:
    class Twice(Named):
        @override
        def val_dataloader(self) -> Any:
            return [LOADER, LOADER]

    make_trainer(tmp_path).validate(Counting(), Twice(), verbose=False)
    assert [sets for (sets,) in read_columns(tmp_path, "sets")] == [[0, 0], [0, 1], None, None]


def test_loss_is_whole_when_gradients_are_accumulated(tmp_path: Path) -> None:
    class Constant(Counting):
        @override
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return self.weight.sum() * 0 + 8

    make_trainer(tmp_path, accumulate_grad_batches=2, **ONE_EPOCH).fit(Constant(), LOADER)
    assert read_columns(tmp_path, "step", "loss") == [(0, 8.0), (1, 8.0)]


def test_manual_optimization_reports_its_own_loss(tmp_path: Path) -> None:
    model = Counting()
    model.automatic_optimization = False
    make_trainer(tmp_path, **ONE_EPOCH).fit(model, LOADER)
    assert [loss for (loss,) in read_columns(tmp_path, "loss")] == [0.0, 0.0]


def test_step_without_output_has_no_loss(tmp_path: Path) -> None:
    class Skipping(Counting):
        @override
        def training_step(self, batch: Any, batch_idx: int) -> None:  # type: ignore[override] # allowed
            return

    trainer = make_trainer(tmp_path, **ONE_EPOCH)
    with pytest.warns(UserWarning, match="returned `None`"):
        trainer.fit(Skipping(), LOADER)
    assert read_columns(tmp_path, "batch", "loss") == [(0, None), (1, None)]


def test_exception_leaves_what_was_fit(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, BatchMonitor(), Failing())
    with pytest.raises(RuntimeError, match="out of luck"):
        trainer.fit(Counting(), Named())
    assert read_columns(tmp_path, "phase", "batch") == [("train", 0)]


def test_exception_before_setup_is_survived() -> None:
    trainer = Trainer(logger=False, accelerator="cpu", enable_checkpointing=False)
    BatchMonitor().on_exception(trainer, BoringModel(), KeyboardInterrupt())


def test_without_logger_the_root_folder_is_used(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, logger=False, default_root_dir=tmp_path, **ONE_EPOCH)
    trainer.fit(Counting(), LOADER)
    assert len(read_columns(tmp_path, "phase")) == 2


def test_path_may_be_chosen(tmp_path: Path) -> None:
    monitor = BatchMonitor(str(tmp_path / "ledger.parquet"))
    make_trainer(tmp_path / "run", monitor, **ONE_EPOCH).fit(Counting(), LOADER)
    assert read_ledger(tmp_path / "ledger.parquet").num_rows == 2
    assert not RunDir(tmp_path / "run").ledger_path.exists()


def test_monitors_of_two_files_are_told_apart(tmp_path: Path) -> None:
    monitors = [BatchMonitor(), BatchMonitor(tmp_path / "a"), BatchMonitor(tmp_path / "b")]
    assert len({monitor.state_key for monitor in monitors}) == 3


def test_development_run_leaves_nothing(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, fast_dev_run=True, default_root_dir=tmp_path)
    trainer.fit(Counting(), Named())
    trainer.test(Counting(), Named(), verbose=False)
    assert list(tmp_path.iterdir()) == []

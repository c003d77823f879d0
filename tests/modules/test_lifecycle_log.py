"""What is logged at the end of an epoch's batches counts as that epoch's."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader
from torchmetrics import SumMetric
from typing_extensions import override

from leyden.errors import ResumeError
from leyden.modules import LifecycleModule

MakeTrainer: TypeAlias = Callable[..., Trainer]

VALUES = [3.0, 1.0, 2.0, 4.0]  # one for each epoch


class Rows(Logger):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []
        self.statuses: list[str] = []

    @property
    @override
    def name(self) -> str:
        return ""

    @property
    @override
    def version(self) -> str:
        return ""

    @override
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    @override
    def log_hyperparams(self, *arguments: Any, **options: Any) -> None:
        pass

    @override
    def finalize(self, status: str) -> None:
        self.statuses.append(status)


class Net(LifecycleModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss: Tensor = self.layer(batch).sum()
        return loss

    @override
    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val", 0.0)

    @override
    def configure_optimizers(self) -> SGD:
        return SGD(self.parameters(), lr=1e-6)


class Logging(Net):
    @override
    def on_train_batches_end(self) -> None:
        assert torch.is_grad_enabled()
        assert self.training
        value = torch.tensor(VALUES[self.current_epoch])
        self.log("value", value)
        value += 100  # too late to count


def batches(count: int = 2) -> DataLoader[Tensor]:
    rows: Any = torch.ones(count, 2)
    return DataLoader(rows, batch_size=1)


@pytest.mark.parametrize("limit_val_batches", [0, 1])
def test_the_logger_gets_one_value_of_each_epoch(
    make_trainer: MakeTrainer, limit_val_batches: int
) -> None:
    logger = Rows()
    options = {"log_every_n_steps": 1, "limit_val_batches": limit_val_batches}
    make_trainer(max_epochs=2, logger=logger, **options).fit(Logging(), batches(), batches())
    rows = [(step, row) for step, row in logger.rows if "value" in row]
    assert rows == [(1, {"epoch": 0, "value": 3.0}), (3, {"epoch": 1, "value": 1.0})]


@pytest.mark.parametrize("val_every", [1, 2])
@pytest.mark.parametrize("at_epoch_end", [True, False])
def test_checkpoints_monitor_it(
    make_trainer: MakeTrainer, tmp_path: Path, val_every: int, *, at_epoch_end: bool
) -> None:
    best = ModelCheckpoint(
        tmp_path / "best", monitor="value", save_on_train_epoch_end=at_epoch_end, filename="{value}"
    )
    trainer = make_trainer(max_epochs=4, check_val_every_n_epoch=val_every, callbacks=[best])
    trainer.fit(Logging(), batches(), batches())
    assert best.best_model_score == 1.0
    assert Path(best.best_model_path).name == "value=1.0.ckpt"


@pytest.mark.parametrize("at_epoch_end", [True, False])
def test_early_stopping_monitors_it(make_trainer: MakeTrainer, *, at_epoch_end: bool) -> None:
    options: dict[str, Any] = {"patience": 1, "check_on_train_epoch_end": at_epoch_end}
    trainer = make_trainer(max_epochs=4, callbacks=[EarlyStopping("value", **options)])
    trainer.fit(Logging(), batches(), batches())
    assert trainer.current_epoch == 3  # the value of the second was not bettered by the third


def test_metrics_and_dictionaries_of_values_can_be_logged(make_trainer: MakeTrainer) -> None:
    class Summing(Net):
        def __init__(self) -> None:
            super().__init__()
            self.total = SumMetric()

        @override
        def on_end_training_batch(self) -> None:
            self.total.update(1.0)

        @override
        def on_train_batches_end(self) -> None:
            self.log_dict({"total": self.total, "one": 1.0})

    logger = Rows()
    make_trainer(max_epochs=2, logger=logger, log_every_n_steps=1).fit(
        Summing(), batches(), batches()
    )
    rows = [row for _, row in logger.rows if "total" in row]
    assert rows == [{"epoch": epoch, "one": 1.0, "total": 2.0} for epoch in (0, 1)]


def test_what_lightning_refuses_at_an_epochs_end_is_refused(make_trainer: MakeTrainer) -> None:
    class Refused(Net):
        @override
        def on_train_batches_end(self) -> None:
            self.log("value", 1.0, on_step=True)

    with pytest.raises(Exception, match="on_step=True") as caught:
        make_trainer(max_epochs=1).fit(Refused(), batches(), batches())
    assert "in the hook `on_train_batches_end` of `Refused`" in caught.value.__notes__[0]


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")
def test_it_outlives_an_interruption_during_validation(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    class Summing(Logging):
        def __init__(self) -> None:
            super().__init__()
            self.total = SumMetric()

        @override
        def on_train_batches_end(self) -> None:
            super().on_train_batches_end()
            self.total.update(7.0)
            self.log("total", self.total, prog_bar=True, reduce_fx=torch.max)

    saving = ModelCheckpoint(tmp_path / "all", save_top_k=-1, save_on_train_epoch_end=False)
    make_trainer(max_epochs=1, callbacks=[saving]).fit(Summing(), batches(), batches())
    logger = Rows()
    best = ModelCheckpoint(tmp_path / "best", monitor="value", save_on_train_epoch_end=True)
    trainer = make_trainer(max_epochs=1, callbacks=[best], logger=logger, log_every_n_steps=1)
    trainer.fit(Summing(), batches(), batches(), ckpt_path=saving.best_model_path)
    assert best.best_model_score == 3.0
    (row,) = [row for _, row in logger.rows if "value" in row]
    assert row == {"epoch": 0, "total": 7.0, "value": 3.0}


def test_a_state_of_another_version_is_refused(make_trainer: MakeTrainer) -> None:
    module, trainer = Logging(), make_trainer(max_epochs=1)
    trainer.fit(module, batches(), batches())
    caller: Any = module._caller
    with pytest.raises(ResumeError, match="state of hooks to have version 1, but got 2"):
        caller.load_state_dict(caller.state_dict() | {"version": 2})


def test_a_run_ends_as_failed_if_a_hook_raises(make_trainer: MakeTrainer) -> None:
    class Failing(Net):
        @override
        def on_epoch_end(self) -> None:
            raise KeyError("broken")

    logger = Rows()
    trainer = make_trainer(max_epochs=1, logger=logger, log_every_n_steps=1)
    with pytest.raises(KeyError, match="broken"):
        trainer.fit(Failing(), batches(), batches())
    assert logger.statuses == ["failed"]
    assert trainer.interrupted

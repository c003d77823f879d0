from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.callbacks import BatchMonitor
from leyden.report.logged_steps import logged_steps, to_logged_step
from leyden.tracking import FileLogger, Ledger, LedgerRow, read_ledger, read_metrics
from leyden.types import Phase

TRAIN, VAL = Phase.TRAIN, Phase.VAL


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Any]:
    def write_rows(*rows: tuple[Phase, int, int, int]) -> Any:
        ledger = Ledger(tmp_path / "batches.parquet")
        for row in rows:
            ledger.append(LedgerRow(*row))
        ledger.flush()
        return read_ledger(ledger.path)

    return write_rows


def test_steps_of_one_optimizer_are_counted_from_zero(write: Callable[..., Any]) -> None:
    ledger = write((TRAIN, 0, 0, 1), (TRAIN, 0, 1, 2), (VAL, 0, 0, 2), (TRAIN, 1, 0, 3))
    assert logged_steps(ledger).tolist() == [0, 1, 1, 2]
    assert [to_logged_step(ledger, step) for step in (1, 2, 3, 4)] == [0, 1, 2, 3]


def test_batches_that_are_accumulated_share_a_step(write: Callable[..., Any]) -> None:
    ledger = write(*((TRAIN, 0, batch, (batch + 1) // 2) for batch in range(4)))
    assert logged_steps(ledger).tolist() == [0, 0, 0, 1]
    assert [to_logged_step(ledger, step) for step in (1, 2, 3)] == [0, 1, 2]


def test_steps_that_are_missing_are_no_other_optimizers(write: Callable[..., Any]) -> None:
    ledger = write((TRAIN, 0, 8, 9), (TRAIN, 0, 11, 12), (TRAIN, 1, 0, 40))
    assert logged_steps(ledger).tolist() == [8, 11, 39]


def test_several_steps_of_a_batch_count_as_one(write: Callable[..., Any]) -> None:
    rows = [(TRAIN, 0, 0, 2), (TRAIN, 0, 1, 4), (VAL, 0, 0, 4), (VAL, 0, 1, 4), (TRAIN, 1, 0, 6)]
    ledger = write(*rows)
    assert logged_steps(ledger).tolist() == [0, 1, 1, 1, 2]
    assert [to_logged_step(ledger, step) for step in range(1, 9)] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_without_a_ledger_steps_are_those_of_the_optimizer(write: Callable[..., Any]) -> None:
    assert to_logged_step(None, 5) == 4
    assert to_logged_step(write((VAL, 0, 0, 0)), 5) == 4


class Players(LightningModule):
    """Makes steps by hand, so many in each batch."""

    def __init__(self, num_steps: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.layer, self._num_steps = nn.Linear(2, 1), num_steps

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        optimizers: Any = self.optimizers()
        loss = torch.zeros(())
        for index in range(self._num_steps):
            loss = self.layer(batch).square().mean()
            self.manual_backward(loss)
            optimizers[index % 2].step()
        self.log("loss", loss)
        return loss.detach()

    @override
    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.parameters(), 1e-3) for _ in range(2)], []


@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_they_are_those_that_lightning_logs_with(tmp_path: Path, num_steps: int) -> None:
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        callbacks=[BatchMonitor(tmp_path / "batches.parquet")],
        logger=FileLogger(tmp_path),
        log_every_n_steps=1,
        default_root_dir=tmp_path,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    rows: Any = torch.rand(6, 2)
    trainer.fit(Players(num_steps), DataLoader(rows, batch_size=2))
    steps, _ = read_metrics(tmp_path / "metrics.csv")["loss"]
    ledger = read_ledger(tmp_path / "batches.parquet")
    assert logged_steps(ledger).tolist() == steps.tolist() == list(range(6))
    assert ledger["step"].to_pylist() == [num_steps * (index + 1) for index in range(6)]

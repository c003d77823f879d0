"""Keep the ledger of what is being fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from leyden.runs import RunDir
from leyden.tracking import Ledger, LedgerRow
from leyden.types import Phase

__all__ = ["BatchMonitor"]


class BatchMonitor(Callback):
    """Write down every train, validation and test batch: its sets, its name and its loss.

    The file is written at the end of every validation and train epoch, at the end of the run and
    when the run is broken off, by rank zero, and speaks of that rank's batches. If it exists, rows
    are added. Sets and name are known if the data module has a method
    ``origin(phase, epoch, batch_index)`` that returns an object with ``set_numbers`` and ``name``;
    it is asked about the first loader of a phase only. A development run (``fast_dev_run``) leaves
    no file.

    Args:
        path: The Parquet file; ``batches.parquet`` in the folder of the run if ``None``.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        super().__init__()
        self._path = None if path is None else Path(path)
        self._ledger: Ledger | None = None

    @property
    @override
    def state_key(self) -> str:
        return self._generate_state_key(path=str(self._path))

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._ledger = None
        folder = trainer.log_dir or trainer.default_root_dir  # asks every rank, so first
        is_trial = trainer.fast_dev_run  # type: ignore[attr-defined] # set outside its class
        if trainer.is_global_zero and not is_trial:
            self._ledger = Ledger(self._path or RunDir(Path(folder)).ledger_path)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._ledger is None:
            return
        loss = _find_loss(outputs)
        if loss is not None:
            loss = loss * trainer.accumulate_grad_batches  # Lightning has divided by it
        self._ledger.append(_make_row(trainer, Phase.TRAIN, batch_idx, loss))

    @override
    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._ledger is not None and not trainer.sanity_checking:
            loss, known = _find_loss(outputs), dataloader_idx == 0
            self._ledger.append(_make_row(trainer, Phase.VAL, batch_idx, loss, known=known))

    @override
    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._ledger is not None:
            loss, known = _find_loss(outputs), dataloader_idx == 0
            self._ledger.append(_make_row(trainer, Phase.TEST, batch_idx, loss, known=known))

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._flush()

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._flush()

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._flush()

    @override
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._flush()

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._flush()

    def _flush(self) -> None:
        if self._ledger is not None:
            self._ledger.flush()


def _make_row(
    trainer: Trainer, phase: Phase, batch_index: int, loss: Tensor | None, *, known: bool = True
) -> LedgerRow:
    epoch, name, sets = trainer.current_epoch, None, None
    data = trainer.datamodule  # type: ignore[attr-defined] # set outside its class
    origin = getattr(data, "origin", None)
    if known and callable(origin):
        found = origin(phase, epoch, batch_index)
        name, sets = found.name, tuple(found.set_numbers)
    return LedgerRow(phase, epoch, batch_index, trainer.global_step, name, sets, loss)


def _find_loss(outputs: Any) -> Tensor | None:
    """Take the loss out of what a step returned; nobody waits for the device here."""
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        return None
    return loss.detach().reshape(()).clone()  # a view may keep much memory, or be written over

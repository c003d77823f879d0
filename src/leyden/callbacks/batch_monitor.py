"""Keep the ledger of what is being fit."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from pyarrow import parquet
from torch import Tensor
from typing_extensions import override

from leyden.callbacks.run_folder import folder_to_write
from leyden.errors import ResumeError, check_version
from leyden.files import replacing
from leyden.lifecycle import find_origin
from leyden.runs import RunDir
from leyden.tracking import Ledger, LedgerRow, read_ledger
from leyden.types import Phase

__all__ = ["BatchMonitor"]


class BatchMonitor(Callback):
    """Write down every train, validation and test batch: its sets, its name and its loss.

    The file is written at the end of every validation and train epoch, at the end of the run and
    when the run is broken off, by rank zero, and speaks of that rank's batches. If it exists, rows
    are added; a run that goes on from a checkpoint first removes those that came after it. Sets and
    name are known of the loaders of ``AutoDataModule``, and if the data module has a method
    ``origin(phase, epoch, batch_index)`` that returns an object with ``set_numbers`` and ``name``;
    it is asked about the first loader of a phase only. A development run (``fast_dev_run``) leaves
    no file.

    Args:
        path: The Parquet file; ``batches.parquet`` in the folder of the run if ``None``.

    Raises:
        ResumeError: If a run goes on from a checkpoint, and rows of before are not there any more.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        super().__init__()
        self._path = None if path is None else Path(path)
        self._ledger: Ledger | None = None
        self._num_rows = 0
        self._can_go_on = False  # a test loads a checkpoint too, and goes on with nothing

    @cached_property  # which Lightning asks for in every hook of every step
    @override
    def state_key(self) -> str:
        # By its name, which stays when the folder of the run is moved.
        return self._generate_state_key(path=None if self._path is None else self._path.name)

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._ledger = None
        folder = folder_to_write(trainer)
        if folder is not None:
            self._open(self._path or RunDir(folder).ledger_path)
        self._can_go_on = stage == "fit"

    def _open(self, path: Path) -> None:
        self._ledger = Ledger(path)
        self._num_rows = read_ledger(path).num_rows if path.exists() else 0

    @override
    def state_dict(self) -> dict[str, Any]:
        if self._ledger is None:
            return {}
        self._flush()  # what the checkpoint counts is on the disk before the checkpoint is
        path = str(self._ledger.path.absolute())
        return {"version": 1, "path": path, "num_rows": self._num_rows}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Bring the file back to what it held, without rows that came later.

        If the monitor is made for another file than it was then, the rows are brought from there.

        Raises:
            ResumeError: If the rows are not there any more, or the state is of another version of
                leyden; nothing is changed then.
        """
        if self._ledger is None or not self._can_go_on or not state_dict:
            return
        check_version(state_dict, 1)
        path, num_rows = self._ledger.path, state_dict["num_rows"]
        if num_rows:
            _write(_find_rows((path, Path(state_dict["path"])), num_rows), path)
        else:
            path.unlink(missing_ok=True)
        self._open(path)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._ledger is None:
            return
        loss = _find_loss(outputs)
        if loss is not None and trainer.accumulate_grad_batches > 1:
            loss = loss * trainer.accumulate_grad_batches  # Lightning has divided by it
        self._append(_make_row(trainer, Phase.TRAIN, (batch_idx, 0), loss))

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
            place = batch_idx, dataloader_idx
            self._append(_make_row(trainer, Phase.VAL, place, _find_loss(outputs)))

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
            place = batch_idx, dataloader_idx
            self._append(_make_row(trainer, Phase.TEST, place, _find_loss(outputs)))

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

    def _append(self, row: LedgerRow) -> None:
        if self._ledger is not None:
            self._ledger.append(row)
            self._num_rows += 1

    def _flush(self) -> None:
        if self._ledger is not None:
            self._ledger.flush()


def _find_rows(places: Sequence[Path], num_rows: int) -> Any:
    """Read the first rows from the first file that has them."""
    tables = [read_ledger(place) for place in places if place.exists()]
    for table in tables:
        if table.num_rows >= num_rows:
            return table.slice(0, num_rows)
    most = max((table.num_rows for table in tables), default=0)
    raise ResumeError(
        f"Expected {num_rows} rows of the ledger to continue, but got {most} in {places[0]}."
    )


def _write(table: Any, path: Path) -> None:
    with replacing(path) as temporary:
        parquet.write_table(table, temporary)


def _make_row(
    trainer: Trainer, phase: Phase, place: tuple[int, int], loss: Tensor | None
) -> LedgerRow:
    epoch, name, sets = trainer.current_epoch, None, None
    batch_index, _ = place
    found = find_origin(trainer, phase, *place)
    if found is not None:
        name, sets = found.name, tuple(found.set_numbers)
    return LedgerRow(phase, epoch, batch_index, trainer.global_step, name, sets, loss)


def _find_loss(outputs: Any) -> Tensor | None:
    """Take the loss out of what a step returned; nobody waits for the device here."""
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        return None
    loss = loss.detach().clone()  # a view may keep much memory, or be written over
    return loss.reshape(()) if loss.ndim else loss

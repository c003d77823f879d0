"""What is found at the end of every validation, from rows collected in its course."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from leyden.callbacks.collected_rows import CollectedRows
from leyden.callbacks.scores_of_step import Extract, ScoresOfStep

__all__ = ["FromValidation"]


class FromValidation(Callback):
    """Collects rows in a validation, and finds something in those of all processes at its end.

    Rows are part of checkpoints that are written in the middle of a validation. The sanity check
    counts for nothing.

    Args:
        scores: Where the scores of a batch are; see ``ScoresOfStep``.
        targets: Likewise.
    """

    def __init__(self, scores: Extract, targets: Extract) -> None:
        super().__init__()
        self._source = ScoresOfStep(scores, targets)

    @cached_property
    def _rows(self) -> CollectedRows:
        return CollectedRows(self.state_key)

    @abstractmethod
    def _collect(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Any,
        batch: Any,
        place: tuple[int, int],
    ) -> None:
        """Add rows of a batch; ``place`` is its index and that of its loader."""

    @abstractmethod
    def _find(
        self, trainer: Trainer, module: LightningModule, rows: Tensor
    ) -> Mapping[str, float | None]:
        """Find it in the rows of all processes; give the numbers to be logged, by name."""

    @override
    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._rows.save(trainer, checkpoint)

    @override
    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._rows.load(trainer, checkpoint)

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
        if not trainer.sanity_checking:
            self._rows.begin(batch_idx, dataloader_idx)
            self._collect(trainer, pl_module, outputs, batch, (batch_idx, dataloader_idx))

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        rows = self._rows.gather(trainer)
        self._rows.clear()
        for name, number in self._find(trainer, pl_module, rows).items():
            if number is not None:  # all processes have the same
                pl_module.log(f"val/{name}", number, sync_dist=True, reduce_fx="max")

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._rows.clear()

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._rows.clear()

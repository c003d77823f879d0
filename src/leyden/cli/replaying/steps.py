"""Callbacks that end a run that is made again: at its beginning, or at one of its steps."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from leyden.incidents import Replay, StepStart, as_recorded, carries_gradients, true_loss
from leyden.lifecycle import find_origin
from leyden.resume import leave_quietly
from leyden.resume.replaced import Replaced
from leyden.types import Phase

__all__ = ["StepCatcher", "StopBeforeTraining"]


class StopBeforeTraining(Callback):
    """Ends a run when its module is made."""

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        raise leave_quietly()


class StepCatcher(Callback):
    """Lets a run come to a step, and ends it with everything as it was before.

    Args:
        target: Epoch and place of the batch that is made again.
        until: Or the optimizer step before which to stop.
    """

    def __init__(self, target: tuple[int, int] | None, until: int | None) -> None:
        super().__init__()
        self._target, self._until = target, until
        self.found: Replay | None = None
        self._made: list[tuple[int, int, int, Tensor]] = []
        self._loss: Tensor | None = None
        self._batch_index = 0
        self._replaced = Replaced()

    def facts(self) -> list[tuple[int, int, int, float]]:
        """Step, epoch, batch and loss of the batches that were made, oldest first."""
        return [(step, epoch, batch, loss.item()) for step, epoch, batch, loss in self._made]

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        def training_step(*arguments: Any, **options: Any) -> Any:
            if not self._is_there(trainer):
                return original(*arguments, **options)
            found = self.found = self._catch(trainer, pl_module, arguments)
            if self._until is None:
                found.examine()
                if pl_module.automatic_optimization:  # and can be had from the run itself
                    loss = _loss_in(original(*arguments, **options))
                    found.loss = as_recorded(loss, trainer, pl_module).item()
                self._note(trainer, torch.tensor(found.loss, dtype=torch.float64))
            raise leave_quietly()

        original = self._replaced.replace(trainer.strategy, "training_step", training_step)

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._batch_index, self._loss = batch_idx, None

    def _is_there(self, trainer: Trainer) -> bool:
        if self._until is not None:
            return trainer.global_step + 1 >= self._until
        return (trainer.current_epoch, self._batch_index) == self._target

    def _catch(
        self, trainer: Trainer, module: LightningModule, arguments: tuple[Any, ...]
    ) -> Replay:
        start = StepStart(module)
        start.note(gradients=carries_gradients(trainer, self._batch_index))
        epoch, batch_index = trainer.current_epoch, self._batch_index
        found = Replay(
            step_number=trainer.global_step + 1,
            epoch=epoch,
            batch_index=batch_index,
            module=module,
            arguments=arguments,
            origin=find_origin(trainer, Phase.TRAIN, batch_index),
            trainer=trainer,
        )
        found.keep(start.state())
        return found

    @override
    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        self._loss = true_loss(trainer, loss)

    @override
    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._loss is not None:
            self._note(trainer, self._loss)

    def _note(self, trainer: Trainer, loss: Tensor) -> None:
        place = trainer.global_step + 1, trainer.current_epoch, self._batch_index
        self._made.append((*place, loss))

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._replaced.put_all_back()


def _loss_in(result: Any) -> Tensor:
    loss: Tensor = result["loss"] if isinstance(result, Mapping) else result
    return loss.detach()

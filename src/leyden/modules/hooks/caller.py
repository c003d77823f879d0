"""Calls the documented hooks of a module that Lightning does not know."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from typing_extensions import override

from leyden.errors import ResumeError
from leyden.lifecycle import is_last_step
from leyden.modules.hooks.call import call_hook, noting_hook
from leyden.modules.hooks.early_log import EarlyLog

__all__ = ["HookCaller"]

_STATE_VERSION = 1


class HookCaller(Callback):
    """Calls hooks of one module at their moments, each once, also if a run is resumed.

    Args:
        module: The module.
        loads_weights: Whether to have it load its weights before a test.
    """

    def __init__(self, module: LightningModule, *, loads_weights: bool) -> None:
        super().__init__()
        self._module, self._loads_weights = module, loads_weights
        self._early_log = EarlyLog(module)
        self._trainer: Trainer | None = None
        self._forget()

    @override
    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_trainer": None}  # no more than Lightning keeps of it in a copy

    def _forget(self) -> None:
        self._open_epoch: int | None = None  # begun and not ended
        self._has_ended_batches = False
        self.late_epoch: int | None = None  # whose hooks are called only now
        self._early_log.clear()

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if pl_module is self._module and trainer is not self._trainer:
            self._trainer = trainer
            self._forget()

    def follow(self, name: str) -> None:
        """Call the hook that comes after one of Lightning's, if it is due.

        Args:
            name: Name of Lightning's hook of the module.
        """
        if name == "on_train_start":
            call_hook(self._module, "start_logger")
        elif name == "on_train_epoch_end":
            self._end_epoch()
        elif is_last_step(self._module.trainer):
            self._end_batches()

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if pl_module is self._module:
            self._begin_epoch(trainer.current_epoch)

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if pl_module is self._module:
            if self._open_epoch != trainer.current_epoch:  # a resumed epoch may have no start
                self._begin_epoch(trainer.current_epoch)
            call_hook(pl_module, "on_start_training_batch", (batch_idx, batch))

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if pl_module is self._module:
            call_hook(pl_module, "on_end_training_batch")

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Without `on_validation_model_zero_grad`, as when a strategy accumulates by itself.
        is_fitting = trainer.state.fn == "fit"
        if is_fitting and self._is_mine(trainer, pl_module) and is_last_step(trainer):
            self._end_batches()

    @override
    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._is_mine(trainer, pl_module):
            call_hook(pl_module, "on_evaluate_epoch_start")

    @override
    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._is_mine(trainer, pl_module):
            call_hook(pl_module, "on_evaluate_batch_start", (batch_idx, batch))

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
        if self._is_mine(trainer, pl_module):
            call_hook(pl_module, "on_evaluate_batch_end")

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._is_mine(trainer, pl_module):
            call_hook(pl_module, "on_evaluate_epoch_end")

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if pl_module is self._module:
            self._end_batches()
            with noting_hook(pl_module, "on_train_batches_end"):
                self._early_log.replay()

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if pl_module is self._module:
            self._catch_up()

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if pl_module is self._module:
            self._catch_up()  # if it was resumed where there was nothing left to train

    @override
    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if pl_module is self._module and self._loads_weights:
            name = "load_parallel_model" if trainer.world_size > 1 else "load_model"
            with torch.inference_mode(mode=False):  # weights may be put in place of others
                call_hook(pl_module, name)

    @override
    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if pl_module is self._module:
            call_hook(pl_module, "on_start_test_batch")

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
        if pl_module is self._module:
            call_hook(pl_module, "on_end_test_batch")

    @override
    def state_dict(self) -> dict[str, Any]:
        return {
            "version": _STATE_VERSION,
            "open_epoch": self._open_epoch,
            "has_ended_batches": self._has_ended_batches,
            "early_log": self._early_log.state(),
        }

    @override
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        if state_dict.get("version") != _STATE_VERSION:
            problem = f"Expected the state of hooks to have version {_STATE_VERSION}"
            raise ResumeError(f"{problem}, but got {state_dict.get('version')!r}.")
        self._open_epoch = state_dict["open_epoch"]
        self._has_ended_batches = state_dict["has_ended_batches"]
        self._early_log.load(state_dict["early_log"])

    def _is_mine(self, trainer: Trainer, pl_module: LightningModule) -> bool:
        return pl_module is self._module and not trainer.sanity_checking

    def _begin_epoch(self, epoch: int) -> None:
        if self._open_epoch != epoch:
            self._catch_up()
        self._open_epoch, self._has_ended_batches = epoch, False
        self._early_log.clear()

    def _end_batches(self) -> None:
        if self._open_epoch is None or self._has_ended_batches:
            return
        self._has_ended_batches = True
        with self._early_log.keeping():
            call_hook(self._module, "on_train_batches_end")

    def _end_epoch(self) -> None:
        if self._open_epoch is not None:
            self._open_epoch = None
            call_hook(self._module, "on_epoch_end")

    def _catch_up(self) -> None:
        """End an epoch that Lightning holds for done after a checkpoint at its last step."""
        self.late_epoch = self._open_epoch
        self._end_batches()
        with self._early_log.keeping():  # too late for Lightning
            self._end_epoch()
        self.late_epoch = None

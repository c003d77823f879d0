"""A LightningModule with documented moments to override beside Lightning's own."""

from collections.abc import Sequence
from typing import Any

from lightning import Callback, LightningModule, Trainer
from typing_extensions import override

from leyden.modules.resetting import attach_state_reset

__all__ = ["LifecycleModule"]

_CALLED_HOOKS = (
    "start_logger",
    "on_start_training_batch",
    "on_end_training_batch",
    "on_evaluate_epoch_start",
    "on_evaluate_batch_start",
    "on_evaluate_batch_end",
    "on_evaluate_epoch_end",
    "on_epoch_end",
    "on_start_test_batch",
    "on_end_test_batch",
)


class LifecycleModule(LightningModule):
    """A LightningModule whose construction, loops and epochs can be joined at named moments.

    Lightning's own hooks keep their meaning. The others do nothing until they are overridden, cost
    nothing until then, and are called in this order::

        define_data_attr, define_model_attr, define_train_attr, define_test_attr,
        define_log_attr, define_compute_attr, define_misc_attr      at construction
        build_model                                                 once the data is known
        start_logger                                                as training starts
        on_start_training_batch, on_end_training_batch              around each training step
        on_evaluate_epoch_start
            on_evaluate_batch_start, on_evaluate_batch_end          around each validation step
        on_evaluate_epoch_end
        on_epoch_end                                                after training and validation
        on_start_test_batch, on_end_test_batch                      around each test step

    The sanity check before training calls none of them. An *item* is ``(batch_idx, batch)``.

    Parts that have a method ``reset_state()``, such as recurrent ones, are reset where a batch
    begins and where it ends, which may be several time windows later.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_built = False
        for part in ("data", "model", "train", "test", "log", "compute", "misc"):
            getattr(self, f"define_{part}_attr")()

    @override
    def configure_model(self) -> None:
        if not self._is_built:
            self.build_model()
            self._is_built = True
        attach_state_reset(self)

    @override
    def configure_callbacks(self) -> Sequence[Callback]:
        mine, base = type(self), LifecycleModule
        overridden = any(getattr(mine, name) is not getattr(base, name) for name in _CALLED_HOOKS)
        attached = any(isinstance(callback, _HookCaller) for callback in self._trainer_callbacks())
        return [_HookCaller()] if overridden and not attached else []

    def _trainer_callbacks(self) -> Sequence[Callback]:
        callbacks: Sequence[Callback] = getattr(self.trainer, "callbacks", ())
        return callbacks

    def define_data_attr(self) -> None:
        """Set attributes about the data."""

    def define_model_attr(self) -> None:
        """Set attributes about the model."""

    def define_train_attr(self) -> None:
        """Set attributes about training."""

    def define_test_attr(self) -> None:
        """Set attributes about testing."""

    def define_log_attr(self) -> None:
        """Set attributes about logging."""

    def define_compute_attr(self) -> None:
        """Set attributes about devices."""

    def define_misc_attr(self) -> None:
        """Set any other attributes."""

    def build_model(self) -> None:
        """Make the layers; the trainer, and through it the data, is known by now."""

    def start_logger(self) -> None:
        """Act as training starts."""

    def on_start_training_batch(self, item: tuple[int, Any]) -> None:
        """Act before a training step."""

    def on_end_training_batch(self) -> None:
        """Act after a training step."""

    def on_evaluate_epoch_start(self) -> None:
        """Act before a validation."""

    def on_evaluate_batch_start(self, item: tuple[int, Any]) -> None:
        """Act before a validation step."""

    def on_evaluate_batch_end(self) -> None:
        """Act after a validation step."""

    def on_evaluate_epoch_end(self) -> None:
        """Act after a validation."""

    def on_epoch_end(self) -> None:
        """Act after an epoch's training and validation."""

    def on_start_test_batch(self) -> None:
        """Act before a test step."""

    def on_end_test_batch(self) -> None:
        """Act after a test step."""


class _HookCaller(Callback):
    """Calls the hooks of a LifecycleModule that Lightning does not know."""

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _of(pl_module).start_logger()

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        _of(pl_module).on_start_training_batch((batch_idx, batch))

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        _of(pl_module).on_end_training_batch()

    @override
    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            _of(pl_module).on_evaluate_epoch_start()

    @override
    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not trainer.sanity_checking:
            _of(pl_module).on_evaluate_batch_start((batch_idx, batch))

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
            _of(pl_module).on_evaluate_batch_end()

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            _of(pl_module).on_evaluate_epoch_end()

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _of(pl_module).on_epoch_end()

    @override
    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        _of(pl_module).on_start_test_batch()

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
        _of(pl_module).on_end_test_batch()


_IDLE = LifecycleModule()


def _of(pl_module: LightningModule) -> LifecycleModule:
    # A trainer keeps its callbacks when it goes on with a module that has no such hooks.
    return pl_module if isinstance(pl_module, LifecycleModule) else _IDLE

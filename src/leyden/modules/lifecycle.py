"""A LightningModule with documented moments to override beside Lightning's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule
from torch import Tensor
from typing_extensions import override

from leyden.errors import ConfigError
from leyden.modules.hooks import (
    ATTRIBUTE_HOOKS,
    CALLED_HOOKS,
    HookCaller,
    check_names,
    connect_hooks,
    is_any_overridden,
)
from leyden.modules.resetting import attach_state_reset, trainer_of
from leyden.modules.scalar_buffer import Reduction, ScalarRecorder
from leyden.modules.weights_file import load_weights, save_weights

__all__ = ["LifecycleModule"]


class LifecycleModule(LightningModule):
    """A LightningModule whose construction, loops and epochs can be joined at named moments.

    Lightning's own hooks keep their meaning. The others do nothing until they are overridden, cost
    nothing until then, and are called in this order::

        define_data_attr, define_model_attr, define_train_attr, define_test_attr,
        define_log_attr, define_compute_attr, define_misc_attr      at construction
        build_model                                                 once the data is known
        start_logger                                                after on_train_start
            on_start_training_batch, on_end_training_batch          around each training step
        on_train_batches_end                                        after the last of an epoch
        on_evaluate_epoch_start
            on_evaluate_batch_start, on_evaluate_batch_end          around each validation step
        on_evaluate_epoch_end
        on_epoch_end                                                after training and validation
        load_model                                                  before on_test_start
            on_start_test_batch, on_end_test_batch                  around each test step

    Four more do Lightning's work if they are overridden: ``get_trainloader``, ``get_testloader``,
    ``evaluate_batch`` and ``loss_backward``. In several processes, ``build_parallel_model`` and
    ``load_parallel_model`` are called instead of their twins, which is what they do by themselves.

    The sanity check before training calls none of them. An *item* is ``(batch_idx, batch)``. A
    method whose name begins with ``on_`` or ``define_`` and is almost that of a hook is answered
    with an error once the module is in a trainer.

    Parts that have a method ``reset_state()``, such as recurrent ones, are reset where a batch
    begins and where it ends, which may be several time windows later.
    """

    _caller: HookCaller | None = None
    _recorder: ScalarRecorder | None = None
    _model_path: str | Path | None = None

    def __init__(self) -> None:
        super().__init__()
        self._is_built = False
        self.init_attr()

    @override
    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        connect_hooks(cls, LifecycleModule)

    @override
    def configure_callbacks(self) -> Sequence[Callback]:
        kind = type(self)
        check_names(kind, LifecycleModule)
        if self._caller is None and is_any_overridden(kind, LifecycleModule, *CALLED_HOOKS):
            loads = ("load_model", "load_parallel_model")
            loads_weights = is_any_overridden(kind, LifecycleModule, *loads)
            self._caller = HookCaller(self, loads_weights=loads_weights)
        callbacks: Sequence[Callback] = getattr(self.trainer, "callbacks", ())
        return [] if self._caller is None or self._caller in callbacks else [self._caller]

    @override
    def configure_model(self) -> None:
        trainer = trainer_of(self)
        self._check_callbacks(trainer)
        if not self._is_built:
            in_parallel = trainer is not None and trainer.world_size > 1
            (self.build_parallel_model if in_parallel else self.build_model)()
            self._is_built = True
        attach_state_reset(self)

    def _check_callbacks(self, trainer: Any) -> None:
        """Check that a subclass which has callbacks of its own has kept those of this class."""
        kind = type(self)
        if trainer is None or not is_any_overridden(kind, LifecycleModule, "configure_callbacks"):
            return
        is_called = self._caller in trainer.callbacks
        if not is_called and is_any_overridden(kind, LifecycleModule, *CALLED_HOOKS):
            problem = f"Expected `configure_callbacks` of `{kind.__name__}` to keep the callback"
            remedy = "Return `[*super().configure_callbacks(), ...]`."
            raise ConfigError(f"{problem} that calls its hooks, but it is not there. {remedy}")

    @property
    def _epoch(self) -> int:
        """The epoch, from one."""
        late = None if self._caller is None else self._caller.late_epoch
        epoch: int = self.trainer.current_epoch if late is None else late
        return epoch + 1

    @property
    def _num_epochs(self) -> int | None:
        """How many epochs there are."""
        return self.trainer.max_epochs

    @property
    def _has_eval(self) -> bool:
        """Whether there are validations."""
        return self.trainer.enable_validation

    @property
    def _eval_interval(self) -> int | None:
        """How many epochs there are from one validation to the next."""
        return self.trainer.check_val_every_n_epoch

    def init_attr(self) -> None:
        """Set all attributes, by calling the hooks for them."""
        for name in ATTRIBUTE_HOOKS:
            getattr(self, name)()

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

    def build_parallel_model(self) -> None:
        """Make the layers in each of several processes; Lightning wraps the module itself."""
        self.build_model()

    def get_trainloader(self) -> Any:
        """Make the loader of training batches; if overridden, as ``train_dataloader``."""

    def get_testloader(self) -> Any:
        """Make the loader of test batches; if overridden, as ``test_dataloader``."""

    def start_logger(self) -> None:
        """Act as training starts."""

    def on_start_training_batch(self, item: tuple[int, Any]) -> None:
        """Act before a training step."""

    def on_end_training_batch(self) -> None:
        """Act after a training step."""

    def on_train_batches_end(self) -> None:
        """Act after an epoch's last training step, before its validation.

        What is logged here is an epoch's metric, as in ``on_train_epoch_end``.
        """

    def on_evaluate_epoch_start(self) -> None:
        """Act before a validation."""

    def on_evaluate_batch_start(self, item: tuple[int, Any]) -> None:
        """Act before a validation step."""

    def evaluate_batch(self, item: tuple[int, Any]) -> Any:
        """Evaluate a batch; if overridden, as ``validation_step``."""

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

    def loss_backward(self, loss: Tensor) -> None:
        """Compute gradients; if overridden, Lightning calls it wherever it does so itself.

        With ``automatic_optimization = False``, call it from ``training_step``: it scales and
        synchronizes gradients where that is needed.

        Args:
            loss: A scalar.
        """
        if self.automatic_optimization:
            super().backward(loss)
        else:
            self.manual_backward(loss)

    def load_model(self) -> None:
        """Load the weights in ``_model_path``; if overridden, called before a test.

        Names of weights may be those of a ``DataParallel``.

        Raises:
            ConfigError: If ``_model_path`` is not set.
            MissingPathError: If there is no such file.
        """
        load_weights(self, self._weights_path())

    def load_parallel_model(self) -> None:
        """Load the weights in each of several processes."""
        self.load_model()

    def save_model(self) -> None:
        """Write the weights to ``_model_path``, as a plain state dict, from the first process.

        Raises:
            ConfigError: If ``_model_path`` is not set.
        """
        path, trainer = self._weights_path(), trainer_of(self)
        if trainer is None or trainer.is_global_zero:
            save_weights(self, path)

    def save_parallel_model(self) -> None:
        """Write the weights from one of several processes."""
        self.save_model()

    def record(
        self,
        name: str,
        value: Tensor | float,
        *,
        batch_size: int = 1,
        reduction: Reduction = "mean",
    ) -> None:
        """Log an epoch's mean of a scalar, at much less cost than ``log``.

        Values are reduced as they come and logged once, at the end of the epoch, the validation or
        the test in which they were recorded: over all loaders and all processes, which have to
        record the same names. A checkpoint does not hold those of an unfinished epoch.

        Args:
            name: Such as ``"train/loss"``.
            value: A number, or a tensor with one element.
            batch_size: How much the value counts in the mean; that of the batch, where they differ.
            reduction: What becomes of the values instead: ``"sum"``, ``"min"`` or ``"max"``.

        Raises:
            ConfigError: If the reduction is not known or is not always the same, or if the trainer
                does something else, such as to predict.
        """
        trainer: Any = self.trainer
        if trainer.sanity_checking:
            return
        recorder = self._recorder
        if recorder is None or recorder not in trainer.callbacks:
            recorder = self._recorder = ScalarRecorder()
            trainer.callbacks = [*trainer.callbacks, recorder]  # it may be going through them
        buffer = recorder.buffer(trainer)
        buffer.add(name, value, batch_size=batch_size, reduction=reduction)

    def stop_train(self) -> None:
        """End the training after this step, or after this epoch where its steps are done.

        Every process has to.
        """
        self.trainer.should_stop = True

    def _weights_path(self) -> Path:
        if self._model_path is None:
            problem = "Expected `_model_path` to be the path of a file of weights"
            raise ConfigError(f"{problem}, but got None. Set it in `define_model_attr`.")
        return Path(self._model_path)

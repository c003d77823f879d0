"""Hooks of EDflow, DeepTrain and Gymnos on any module and Lightning's own loop."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from leyden.lifecycle import Fetches, HookSet, Moments, RunView, find_window, is_last_step

__all__ = ["StageHooks"]


class StageHooks(Callback):
    """Call hooks written for EDflow, DeepTrain or Gymnos at their documented moments.

    They work with any module, beside each other and beside ordinary callbacks. Hooks of one moment
    are called in the order of the list, and moments follow each other in the order that
    ``leyden.lifecycle.Moments`` shows: the end of an epoch comes before its validation. The sanity
    check before training calls none of them. Their counters and states are part of checkpoints.

    A hook that sets ``trainer.should_stop`` does so in every process.

    Args:
        hooks: Objects with methods of ``leyden.lifecycle``'s ``Hook``, ``TraingenCallback`` or
            ``StageCallback``, dictionaries of functions of the run by stage, and lists of these; or
            one alone.
        fetches: Functions ``function(module, **feeds)`` in a nested dictionary, for hooks that take
            ``fetches`` or ``results``; they are called in evaluation mode and without gradients,
            and only if their results are asked for. A module's ``step_ops()`` adds to them.

    Attributes:
        stage_hooks: The hooks; another ``StageHooks`` that is given this one calls them itself.

    Raises:
        ConfigError: If something is no hook, a method is named almost like one, or a stage or a
            signature is unknown.

    Example:
        >>> from lightning import Trainer
        >>> def report(run):
        ...     print(run.counters.num_batches, "batches")
        >>> hooks = StageHooks([{"train:epoch": report}])
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[hooks])
    """

    def __init__(self, hooks: Any, fetches: Fetches | None = None) -> None:
        super().__init__()
        self.stage_hooks = [hooks]
        self._moments = Moments(HookSet(hooks), fetches or {})
        self._last_in_line = _LastInLine(self._moments)
        self._run: RunView | None = None
        self._has_loaded = False

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        if self._run is None or (self._run.trainer, self._run.module) != (trainer, pl_module):
            self._run = RunView(trainer, pl_module, folder)
            self._moments.attach(self._run)
        self._has_loaded = False
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined] # set outside its class
        callbacks[:] = [callback for callback in callbacks if callback is not self._last_in_line]
        callbacks.append(self._last_in_line)

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step_ops = getattr(pl_module, "step_ops", None)
        self._moments.add_fetches(step_ops() if callable(step_ops) else {})
        self._moments.call("on_fit_model_begin")
        self._announce_load()

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._moments.begin_epoch(trainer.current_epoch)
        self._save(trainer)

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._moments.begin_epoch(trainer.current_epoch)  # a resumed epoch may have no start
        self._moments.begin_step(batch)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        ends_batch = find_window(trainer, batch_idx).is_last
        self._moments.end_step(outputs, batch, ends_batch=ends_batch)
        if self._moments.run.has_requests and not is_last_step(trainer):
            self._save(trainer)

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._announce_load()
        if _is_fitting(trainer) and is_last_step(trainer):
            self._moments.end_epoch()

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
            ends_batch = find_window(trainer, batch_idx, dataloader_idx).is_last
            self._moments.end_val_step(outputs, batch, ends_batch=ends_batch)

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            ends_epoch = _is_fitting(trainer) and not self._moments.in_epoch
            self._moments.end_val_epoch(ends_epoch=ends_epoch)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._moments.end_epoch()
        self._save(trainer)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._moments.end_epoch()  # if it was resumed where nothing but this was left of it
        self._moments.call("on_fit_model_end")
        self._save(trainer)

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._announce_load()  # if it was resumed where there was nothing left to train
        self._moments.end_epoch()

    @override
    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._announce_load()
        self._moments.call("on_evaluate_model_begin")

    @override
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._moments.call("on_evaluate_model_end")

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._moments.at_exception(exception)

    @override
    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._moments.save()
        checkpoint["callbacks"][self.state_key] = self.state_dict()  # hooks may have changed theirs

    @override
    def state_dict(self) -> dict[str, Any]:
        return self._moments.state_dict()

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._moments.load_state_dict(state_dict)
        self._has_loaded = True

    def _announce_load(self) -> None:
        if self._has_loaded:
            self._has_loaded = False
            self._moments.load()

    def _save(self, trainer: Trainer) -> None:
        for path in self._moments.run.take_requests():
            trainer.save_checkpoint(path)


class _LastInLine(Callback):
    """Called after all callbacks, so that checkpoints are written by then."""

    def __init__(self, moments: Moments) -> None:
        super().__init__()
        self._moments = moments

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._moments.end_validation()


def _is_fitting(trainer: Trainer) -> bool:
    return trainer.state.fn == "fit" and not trainer.sanity_checking

"""A loop of ``fit`` that goes on where a checkpoint was written, instead of beginning."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lightning.pytorch import Trainer

from leyden.errors import ResumeError
from leyden.resume.moments import Moment
from leyden.resume.replaced import Replaced

__all__ = ["Continued", "continue_between_epochs", "continue_epoch"]


@dataclass(frozen=True, slots=True)
class Continued:
    """Where in an epoch a run goes on.

    Attributes:
        moment: Between batches, or in which hook.
        loops: What the checkpoint says of the loop of ``fit``.
        first_before_val: What `first_of_loop` was before the validation at hand.
    """

    moment: Moment
    loops: dict[str, Any]
    first_before_val: bool | None


def continue_between_epochs(
    trainer: Trainer, replaced: Replaced, restore: Callable[[], None], end: bool
) -> None:
    """Have training go on with the next epoch, when its loop comes to it.

    Args:
        trainer: The trainer, with the checkpoint loaded by Lightning.
        replaced: Keeps what is replaced until then.
        restore: Puts everything back.
        end: Whether the end of the epoch before is still to be logged.
    """
    fit_loop = trainer.fit_loop

    def go_on() -> None:
        replaced.put_back(fit_loop, "on_advance_start", "setup_data")
        restore()
        if end:
            _finish_epoch(trainer)

    def on_advance_start() -> None:
        go_on()
        fit_loop.on_advance_start()

    def setup_data() -> None:
        original_setup_data()
        if fit_loop.skip:  # that was the last epoch, and its end is all there is to go on with
            go_on()

    replaced.replace(fit_loop, "on_advance_start", on_advance_start)
    original_setup_data = replaced.replace(fit_loop, "setup_data", setup_data)


def continue_epoch(
    trainer: Trainer,
    replaced: Replaced,
    restore: Callable[[], None],
    state: Continued,
) -> None:
    """Have training go on within an epoch, when its loop comes to it.

    Args:
        trainer: The trainer, with the checkpoint loaded by Lightning.
        replaced: Keeps what is replaced until then.
        restore: Puts everything back.
        state: Where in the epoch.
    """
    loop = trainer.fit_loop.epoch_loop

    def on_run_start(fetcher: Any) -> None:
        replaced.put_back(loop, "reset", "on_run_start", "max_steps")
        loop.batch_progress.current.reset()  # what was drawn is counted by drawing it again
        loop.on_run_start(fetcher)
        _pass_over(fetcher, state.loops["epoch_loop.batch_progress"])
        restore()
        if state.moment is not Moment.BETWEEN_BATCHES:
            _finish_batch(trainer, replaced, restore, state, fetcher)

    replaced.replace(loop, "max_steps", -1)  # else, where no step is left, nothing begins
    replaced.replace(loop, "reset", lambda: None)
    replaced.replace(loop, "on_run_start", on_run_start)


def _pass_over(fetcher: Any, progress: dict[str, Any]) -> None:
    """Draw the batches that were drawn before the checkpoint.

    Raises:
        ResumeError: If there are fewer now; the trainer would take it for the end of the run.
    """
    wanted = progress["current"]["ready"]
    for drawn in range(wanted):
        if next(fetcher, None) is None:
            if progress["is_last_batch"]:  # and there would be none to come either way
                return
            raise ResumeError(
                f"Expected a loader with the {wanted} batches that came before the checkpoint, but"
                f" it ended after {drawn}. Go on with the data and the batch size of the run."
            )


def _finish_batch(
    trainer: Trainer,
    replaced: Replaced,
    restore: Callable[[], None],
    state: Continued,
    fetcher: Any,
) -> None:
    """Do what comes after the hook in which the checkpoint was written, up to the next batch."""
    loop, connector = trainer.fit_loop.epoch_loop, trainer._logger_connector
    if state.moment is Moment.BATCH_END:
        connector.on_batch_end()
        connector.update_train_step_metrics()
    elif state.moment is Moment.IN_VALIDATION:
        connector._first_loop_iter = state.first_before_val
        _continue_validation(trainer, replaced, restore, state.loops)
    else:
        _finish_validation(trainer)
        connector._first_loop_iter = state.first_before_val
    loop.on_advance_end(fetcher)
    loop.on_iteration_done()


def _continue_validation(
    trainer: Trainer, replaced: Replaced, restore: Callable[[], None], loops: dict[str, Any]
) -> None:
    """Have the validation that is about to begin go on where it was."""
    loop = trainer.fit_loop.epoch_loop
    val = loop.val_loop
    has_stored = bool(val._logged_outputs)  # of a loader before

    def should_check_val(_: Any) -> bool:
        replaced.put_back(loop, "_should_check_val_fx")
        return True

    def reset() -> None:
        replaced.put_back(val, "reset")
        val.reset()
        _pass_over(val._data_fetcher, loops["epoch_loop.val_loop.batch_progress"])

    def on_run_start() -> None:
        replaced.put_back(val, "on_run_start")
        restore()

    def store_dataloader_outputs() -> None:
        replaced.put_back(val, "_store_dataloader_outputs")

    replaced.replace(loop, "_should_check_val_fx", should_check_val)
    replaced.replace(val, "reset", reset)
    replaced.replace(val, "on_run_start", on_run_start)
    if has_stored:
        replaced.replace(val, "_store_dataloader_outputs", store_dataloader_outputs)


def _finish_validation(trainer: Trainer) -> None:
    """Do what comes after the last hook of a validation."""
    loop = trainer.fit_loop.epoch_loop
    trainer.validating = True
    trainer._logger_connector.reset_results()
    loop.val_loop._on_evaluation_model_train()
    trainer.training = True
    loop._skip_next_val = True


def _finish_epoch(trainer: Trainer) -> None:
    """Do what comes after the last hook of an epoch."""
    loop, connector = trainer.fit_loop.epoch_loop, trainer._logger_connector
    epochs = trainer.fit_loop.epoch_progress.current
    epochs.completed -= 1  # which is the number of the epoch, until the next
    connector.on_epoch_end()
    if loop._num_ready_batches_reached():
        loop.update_lr_schedulers("epoch", update_plateau_schedulers=True)
    loop._batches_that_stepped -= 1  # the averages are logged with the last step
    connector.update_train_epoch_metrics()
    loop._batches_that_stepped += 1
    epochs.completed += 1

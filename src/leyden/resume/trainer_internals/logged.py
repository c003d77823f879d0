"""What ``self.log`` has gathered, and what was logged last."""

from typing import Any

from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils._pytree import tree_map_only

from leyden.resume.trainer_internals.results import restore_results, results_state

__all__ = ["first_of_loop", "logged_state", "restore_logged"]


def first_of_loop(trainer: Trainer) -> bool | None:
    """What Lightning remembers of whether the batch at hand is the first of its loop."""
    return trainer._logger_connector._first_loop_iter


def logged_state(trainer: Trainer) -> dict[str, Any]:
    """Write down what ``self.log`` has gathered, and what was logged last."""
    loop, connector = trainer.fit_loop.epoch_loop, trainer._logger_connector
    val = loop.val_loop
    return {
        "train": results_state(loop._results),
        "val": results_state(val._results),
        "stepped": loop._batches_that_stepped,
        "first": connector._first_loop_iter,
        "fx": connector._current_fx,
        "callback": _plain(connector._callback_metrics),
        "logged": _plain(connector._logged_metrics),
        "bar": _plain(connector._progress_bar_metrics),
        "val_outputs": [_plain(outputs) for outputs in val._logged_outputs],
        "val_seen": [list(item) for item in val._seen_batches_per_dataloader.items()],
        "val_modes": dict(val._module_mode.mode),
        "val_has_run": val._has_run,
        "train_made": trainer.fit_loop._last_train_dl_reload_epoch,
        "val_made": val._last_val_dl_reload_epoch,
    }


def restore_logged(trainer: Trainer, state: dict[str, Any]) -> None:
    """Have ``self.log`` go on from where it was.

    Args:
        trainer: The trainer.
        state: What `logged_state` returned.
    """
    loop, connector = trainer.fit_loop.epoch_loop, trainer._logger_connector
    restore_results(loop._results, state["train"], trainer)
    loop._batches_that_stepped = state["stepped"]
    connector._first_loop_iter = state["first"]
    connector._current_fx = state["fx"]
    connector._callback_metrics = _on_device(state["callback"], trainer)
    connector._logged_metrics = _on_device(state["logged"], trainer)
    connector._progress_bar_metrics = _on_device(state["bar"], trainer)
    trainer.fit_loop._last_train_dl_reload_epoch = state["train_made"]
    loop.val_loop._last_val_dl_reload_epoch = state["val_made"]
    _restore_validation(trainer, state)


def _restore_validation(trainer: Trainer, state: dict[str, Any]) -> None:
    """Have the loop of validation go on from where it was.

    Args:
        trainer: The trainer.
        state: What `logged_state` returned.
    """
    val = trainer.fit_loop.epoch_loop.val_loop
    restore_results(val._results, state["val"], trainer)
    val._logged_outputs = [_on_device(outputs, trainer) for outputs in state["val_outputs"]]
    val._seen_batches_per_dataloader.clear()
    val._seen_batches_per_dataloader.update(dict(state["val_seen"]))
    val._module_mode.mode = dict(state["val_modes"])
    val._has_run = state["val_has_run"]


def _plain(values: Any) -> Any:
    return tree_map_only(Tensor, lambda value: value.detach().clone(), values)


def _on_device(values: Any, trainer: Trainer) -> Any:
    return tree_map_only(Tensor, lambda value: value.to(trainer.strategy.root_device), values)

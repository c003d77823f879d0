"""The one place that knows Lightning's private parts.

Lightning has no hook *between* two batches: each of its hooks runs while something of the step is
still to come. Exactness needs that place, so the methods named here are replaced on the trainer at
hand for the time of one run; Lightning's classes are left alone. Every private name that is used
has a test that fails when a release of Lightning moves it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.loops.fetchers import _PrefetchDataFetcher
from lightning.pytorch.trainer.connectors.logger_connector.result import (
    _Metadata,
    _ResultCollection,
    _ResultMetric,
    _Sync,
)
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import _TunerExitException
from torch import Tensor
from torch.utils._pytree import tree_map_only

from leyden.resume.loaders import follower_of
from leyden.resume.metrics import metric_state, restore_metric_state
from leyden.resume.moments import Moment
from leyden.resume.replaced import Replaced

__all__ = [
    "Continued",
    "LoopHooks",
    "accumulates",
    "continue_between_epochs",
    "continue_epoch",
    "drawn_ahead",
    "draws_ahead",
    "dump",
    "first_of_loop",
    "leave_quietly",
    "loaders_of",
    "logged_state",
    "mend_progress",
    "restore_logged",
    "restore_progress",
]

_META = (
    "fx",
    "name",
    "prog_bar",
    "logger",
    "on_step",
    "on_epoch",
    "enable_graph",
    "add_dataloader_idx",
    "dataloader_idx",
    "metric_attribute",
)
_FLAGS = ("_restarting", "_loaded_from_state_dict", "_resuming_from_checkpoint")


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


class LoopHooks:
    """Calls back at the places between two batches, and for each loader.

    Args:
        trainer: The trainer, when it sets up.
        between_batches: Called before each batch of training is drawn.
        in_validation: Called after each batch of a validation within training.
        in_evaluation: Called after each batch of ``validate``, ``test`` and ``predict``.
        on_loader: Called with the phase and a loader of the user's; gives the one to use.
        on_checkpoint: Called with a checkpoint as it was read; gives the one to use.
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        between_batches: Callable[[], None],
        in_validation: Callable[[], None],
        in_evaluation: Callable[[], None],
        on_loader: Callable[[str, Any], Any],
        on_checkpoint: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        self._replaced = Replaced()
        self._trainer, self._on_loader = trainer, on_loader
        loop = trainer.fit_loop.epoch_loop

        def advance(fetcher: Any) -> None:
            between_batches()
            original_advance(fetcher)

        original_advance = self._replaced.replace(loop, "advance", advance)
        self._after(loop.val_loop, "_evaluation_step", in_validation)
        self._after(trainer.validate_loop, "_evaluation_step", in_evaluation)
        self._after(trainer.test_loop, "_evaluation_step", in_evaluation)
        self._after(trainer.predict_loop, "_predict_step", in_evaluation)
        self._follow_loaders()
        self._leave_loaders_alone()
        self._read_checkpoints(on_checkpoint)
        self._keep_signals()

    def _after(self, owner: Any, name: str, then: Callable[[], None]) -> None:
        def method(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if not self._trainer.sanity_checking:
                then()
            return result

        original = self._replaced.replace(owner, name, method)

    def _follow_loaders(self) -> None:
        def process_dataloader(loader: Any) -> Any:
            return self._on_loader(_phase_of_loaders(self._trainer), original(loader))

        strategy = self._trainer.strategy
        original = self._replaced.replace(strategy, "process_dataloader", process_dataloader)

    def _leave_loaders_alone(self) -> None:
        """Have Lightning ask loaders for their state only if they are brought back by it.

        One of torchdata's begins to load, and draws random numbers, when it is asked too early.
        """

        def on_save_checkpoint() -> dict[str, Any]:
            loaders = loaders_of(self._trainer, "train")
            by_state = all(follower_of(loader).way == "state" for loader in loaders)
            return dict(original()) if by_state else {}

        fit_loop = self._trainer.fit_loop
        original = self._replaced.replace(fit_loop, "on_save_checkpoint", on_save_checkpoint)

    def _read_checkpoints(self, then: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        def load_checkpoint(*args: Any, **kwargs: Any) -> dict[str, Any]:
            return then(original(*args, **kwargs))

        strategy = self._trainer.strategy
        original = self._replaced.replace(strategy, "load_checkpoint", load_checkpoint)

    def _keep_signals(self) -> None:
        """Have Lightning leave the signals alone; on SLURM it requeues jobs by them."""
        connector = self._trainer._signal_connector
        environment = self._trainer._accelerator_connector.cluster_environment
        if not isinstance(environment, SLURMEnvironment):
            self._replaced.replace(connector, "register_signal_handlers", lambda: None)

    def remove(self) -> None:
        """Leave everything as it was found."""
        self._replaced.put_all_back()


def _phase_of_loaders(trainer: Trainer) -> str:
    """Which loop is setting its loaders up."""
    if trainer.state.fn != TrainerFn.FITTING:
        return "other"
    return "train" if trainer.training else "val"


def dump(trainer: Trainer) -> dict[str, Any]:
    """Make a checkpoint as Lightning would write it; on every rank."""
    return trainer._checkpoint_connector.dump_checkpoint(weights_only=False)


def leave_quietly() -> BaseException:
    """The exception that ends a run as if it had been wanted: ``fit`` returns."""
    return _TunerExitException()


def drawn_ahead(trainer: Trainer, phase: str) -> int:
    """Count the batches that Lightning has drawn and not yet used."""
    loop = trainer.fit_loop if phase == "train" else trainer.fit_loop.epoch_loop.val_loop
    return len(getattr(loop._data_fetcher, "batches", ()))


def draws_ahead(trainer: Trainer, phase: str) -> bool:
    """Whether Lightning draws batches before it uses them: where it does not know their number."""
    loop = trainer.fit_loop if phase == "train" else trainer.fit_loop.epoch_loop.val_loop
    fetcher = loop._data_fetcher
    return isinstance(fetcher, _PrefetchDataFetcher) and fetcher.length is None


def accumulates(trainer: Trainer) -> bool:
    """Whether gradients are kept from one batch to the next."""
    if not trainer.lightning_module.automatic_optimization:
        return True
    return trainer.accumulate_grad_batches > 1 and trainer.fit_loop._should_accumulate()


def loaders_of(trainer: Trainer, phase: str) -> list[Any]:
    """The loaders that a phase of ``fit`` goes through, as Lightning has them."""
    loop = trainer.fit_loop if phase == "train" else trainer.fit_loop.epoch_loop.val_loop
    return [] if loop._combined_loader is None else loop._combined_loader.flattened


def mend_progress(loops: dict[str, Any]) -> None:
    """Have Lightning take a state that was written within a hook for one between two batches.

    It would count the last batch of an epoch twice, and leave the next epoch out.

    Args:
        loops: What a checkpoint says of the loop of ``fit``; changed in place.
    """
    for name in ("epoch_loop.batch_progress", "epoch_progress"):
        for count in (loops[name]["total"], loops[name]["current"]):
            if (
                count["processed"] == count["completed"] + 1
                and count["processed"] == count["ready"]
            ):
                count["completed"] = count["processed"]
    loops["state_dict"].pop("combined_loader", None)  # leyden brings the loaders back itself


def restore_progress(trainer: Trainer, loops: dict[str, Any]) -> None:
    """Set all counts of a run, as if it had come there by itself.

    Args:
        trainer: The trainer.
        loops: What a checkpoint says of the loop of ``fit``.
    """
    trainer.fit_loop.load_state_dict(loops)
    loop = trainer.fit_loop.epoch_loop
    optimization = (loop.automatic_optimization, loop.manual_optimization)
    for one in (trainer.fit_loop, loop, loop.val_loop, *optimization):
        for flag in _FLAGS:
            setattr(one, flag, False)
        one.reset_restart_stage()


def first_of_loop(trainer: Trainer) -> bool | None:
    """What Lightning remembers of whether the batch at hand is the first of its loop."""
    return trainer._logger_connector._first_loop_iter


def logged_state(trainer: Trainer) -> dict[str, Any]:
    """Write down what ``self.log`` has gathered, and what was logged last."""
    loop, connector = trainer.fit_loop.epoch_loop, trainer._logger_connector
    val = loop.val_loop
    return {
        "train": _results_state(loop._results),
        "val": _results_state(val._results),
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
    _restore_results(loop._results, state["train"], trainer)
    loop._batches_that_stepped = state["stepped"]
    connector._first_loop_iter = state["first"]
    connector._current_fx = state["fx"]
    connector._callback_metrics = _on_device(state["callback"], trainer)
    connector._logged_metrics = _on_device(state["logged"], trainer)
    connector._progress_bar_metrics = _on_device(state["bar"], trainer)
    trainer.fit_loop._last_train_dl_reload_epoch = state["train_made"]
    loop.val_loop._last_val_dl_reload_epoch = state["val_made"]
    restore_validation(trainer, state)


def restore_validation(trainer: Trainer, state: dict[str, Any]) -> None:
    """Have the loop of validation go on from where it was.

    Args:
        trainer: The trainer.
        state: What `logged_state` returned.
    """
    val = trainer.fit_loop.epoch_loop.val_loop
    _restore_results(val._results, state["val"], trainer)
    val._logged_outputs = [_on_device(outputs, trainer) for outputs in state["val_outputs"]]
    val._seen_batches_per_dataloader.clear()
    val._seen_batches_per_dataloader.update(dict(state["val_seen"]))
    val._module_mode.mode = dict(state["val_modes"])
    val._has_run = state["val_has_run"]


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
    for _ in range(progress["current"]["ready"]):
        next(fetcher)


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


def _results_state(results: _ResultCollection) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            **_meta_state(metric.meta),
            "has_reset": metric.has_reset,
            "is_tensor": metric.is_tensor,  # else a metric of the module, which keeps its values
            "state": metric_state(metric),
        }
        for key, metric in results.items()
    ]


def _meta_state(meta: _Metadata) -> dict[str, Any]:
    return {
        "meta": {name: getattr(meta, name) for name in _META},
        "reduce_fx": meta.reduce_fx.__name__,
        "sync": {
            "_should": meta.sync.should,
            "rank_zero_only": meta.sync.rank_zero_only,
            "_op": meta.sync.op,
        },
    }


def _restore_results(
    results: _ResultCollection, state: list[dict[str, Any]], trainer: Trainer
) -> None:
    results.clear()
    for one in state:
        sync = _Sync(fn=trainer.strategy.reduce, **one["sync"])
        meta = _Metadata(**one["meta"], reduce_fx=one["reduce_fx"], _sync=sync)
        metric = _ResultMetric(meta, one["is_tensor"])
        if one["is_tensor"]:
            metric.to(trainer.strategy.root_device)
        else:
            metric.value = trainer.lightning_module.get_submodule(str(meta.metric_attribute))
        restore_metric_state(metric, one["state"])
        metric.has_reset = one["has_reset"]
        results[one["key"]] = metric


def _plain(values: Any) -> Any:
    return tree_map_only(Tensor, lambda value: value.detach().clone(), values)


def _on_device(values: Any, trainer: Trainer) -> Any:
    return tree_map_only(Tensor, lambda value: value.to(trainer.strategy.root_device), values)

"""The callback of a run that is verified: a line for all that happens, and an interruption."""

import json
import os
import shutil
import signal
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from typing_extensions import override

from leyden.resume.loaders import follower_of
from leyden.resume.observation.digests import Digests, digests_of
from leyden.resume.observation.striker import Striker
from leyden.resume.observation.whereabouts import (
    facts_of_loader,
    note_origins,
    place_of,
    places_of_classes,
    rows_of,
    users_files,
)
from leyden.resume.rehearsal import Rehearsal, asked_for, where_to_write
from leyden.resume.replaced import Replaced
from leyden.resume.trainer_internals import loaders_of
from leyden.runs import versions

__all__ = ["Observer", "observe"]

_COUNT = "leyden.observed"  # in a checkpoint: number of records before it


def observe(trainer: Trainer, module: LightningModule, dirpath: os.PathLike[str]) -> None:
    """Have a run observed and interrupted, if it is one that is verified; else do nothing.

    Args:
        trainer: The trainer, when it sets up ``fit``.
        module: Its module.
        dirpath: The folder of checkpoints, as the user calls it.
    """
    rehearsal = Rehearsal.current()
    if rehearsal is None or any(isinstance(one, Observer) for one in trainer.callbacks):  # type: ignore[attr-defined] # set outside its class
        return
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.dirpath is not None:
            callback.dirpath = str(where_to_write(callback.dirpath))
    trainer.callbacks.append(Observer(rehearsal, trainer, module, dirpath))  # type: ignore[attr-defined] # as above


class Observer(Callback):
    """Writes one line of JSON for all that happens, and interrupts the run where it is told to.

    Lines have a number that goes on after an interruption where the checkpoint was written, so
    that lines with the same number tell of the same event.

    Args:
        rehearsal: What is to happen.
        trainer: The trainer, when it sets up ``fit``.
        module: Its module.
        dirpath: The folder of checkpoints, as the user calls it.
    """

    def __init__(
        self,
        rehearsal: Rehearsal,
        trainer: Trainer,
        module: LightningModule,
        dirpath: os.PathLike[str],
    ) -> None:
        super().__init__()
        self._rehearsal, self._trainer = rehearsal, trainer
        self._count = self._begins_at = 0
        self._is_resumed = False
        self._striker = Striker(
            rehearsal.interruption,
            note=lambda: self._note("interruption"),
            is_first=trainer.is_global_zero,
            run_dir=rehearsal.run_dir,
        )
        self._told: set[str] = set()  # phases whose loaders were told of
        path = rehearsal.records_path(trainer.global_rank)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._replaced = Replaced()
        self._look_in(trainer)
        weights = digests_of(dict(module.named_parameters()))
        self._note("attached", dirpath=str(dirpath), initial=list(weights.items()))

    def _look_in(self, trainer: Trainer) -> None:
        """Be there before each batch, in each step, and whenever a logger gets a row."""

        def advance(fetcher: Any) -> None:
            self._before_batch()
            original_advance(fetcher)

        def training_step(*args: Any, **kwargs: Any) -> Any:
            result = original_step(*args, **kwargs)
            self._in_step()
            return result

        loop, strategy = trainer.fit_loop.epoch_loop, trainer.strategy
        original_advance = self._replaced.replace(loop, "advance", advance)
        original_step = self._replaced.replace(strategy, "training_step", training_step)
        for number, logger in enumerate(trainer.loggers):
            self._look_at_rows(number, logger)

    def _look_at_rows(self, number: int, logger: Any) -> None:
        def log_metrics(metrics: Any, step: int | None = None, **kwargs: Any) -> Any:
            row = digests_of(dict(metrics))
            self._record("row", row, logger=f"{number} {type(logger).__name__}", step=step)
            return original(metrics, step, **kwargs)

        original = self._replaced.replace(logger, "log_metrics", log_metrics)

    def _note(self, what: str, **content: Any) -> None:
        line = json.dumps({"what": what, "batch": self._batch(), **content}, default=str)
        os.write(self._file, f"{line}\n".encode())  # at once, whatever kills the process next

    def _record(self, what: str, items: Digests, **content: Any) -> None:
        self._note(what, n=self._count, items=items, **content)
        self._count += 1

    def _batch(self) -> int:
        """The batch of training at hand, or the last one, counted through all epochs."""
        return self._trainer.fit_loop.total_batch_idx

    @override
    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[_COUNT] = self._count

    @override
    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._count = self._begins_at = checkpoint.get(_COUNT, 0)
        self._is_resumed = True

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._note(
            "start",
            begins_at=self._begins_at,
            resumed=self._is_resumed,
            asked=asked_for(),
            versions=versions(),
            device=str(trainer.strategy.root_device),
            world_size=trainer.world_size,
            files=users_files(),
            step=place_of(pl_module, "training_step"),
            module=type(pl_module).__qualname__,
            classes=places_of_classes(pl_module),
        )

    def _before_batch(self) -> None:
        done = self._batch() + 1
        if done >= self._rehearsal.steps:
            self._finish()
            self._leave()
        self._striker.before_batch(done)

    def _in_step(self) -> None:
        if self._batch() in self._rehearsal.write_at:
            os.kill(os.getpid(), signal.SIGUSR1)
        self._striker.in_step(self._batch())

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._rehearsal.start == 0 and self._batch() == 0 and trainer.is_global_zero:
            self._keep_first()
        self._tell_loaders("train")
        self._record("batch", digests_of(batch, "batch"), rows=self._rows("train", batch_idx))

    def _keep_first(self) -> None:
        """Keep what was written before the first batch, for the run that is interrupted."""
        source = self._rehearsal.run_dir
        ignore = shutil.ignore_patterns(".*")
        shutil.copytree(source, self._rehearsal.first_dir, ignore=ignore, dirs_exist_ok=True)

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        metrics = digests_of(dict(trainer.callback_metrics), "metrics")
        items = digests_of(outputs, "outputs") | metrics | self._state(pl_module)
        self._record("step", items, epoch=trainer.current_epoch)

    def _state(self, module: LightningModule) -> Digests:
        weights = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        states = [one.state_dict() for one in self._trainer.optimizers]
        return digests_of(weights, "weights") | digests_of(states, "optimizers")

    @override
    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.sanity_checking:
            return
        self._tell_loaders("val")
        rows = self._rows("val", batch_idx, dataloader_idx)
        self._record("validation batch", digests_of(batch, "batch"), rows=rows)

    @override
    def on_validation_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        self._striker.in_validation(self._count - 1)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._record("validation", digests_of(dict(trainer.callback_metrics), "metrics"))

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._finish()

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._leave()

    def _finish(self) -> None:
        self._striker.wait()
        schedulers = [one.scheduler.state_dict() for one in self._trainer.lr_scheduler_configs]
        items = self._state(self._trainer.lightning_module) | digests_of(schedulers, "schedulers")
        metrics = digests_of(dict(self._trainer.callback_metrics), "metrics")
        counts = {"epoch": self._trainer.current_epoch, "step": self._trainer.global_step}
        self._record("end", items | metrics | digests_of(counts))

    def _leave(self) -> None:
        """End the process, so that nothing that comes after the training is done or written."""
        raise SystemExit(0)

    def _tell_loaders(self, phase: str) -> None:
        if phase in self._told:
            return
        self._told.add(phase)
        for alike in loaders_of(self._trainer, phase):
            follower = follower_of(alike)
            self._note("loader", phase=phase, way=follower.way, **facts_of_loader(follower.loader))

    def _rows(self, phase: str, batch_idx: int, loader_idx: int = 0) -> str | None:
        """A digest of the rows that the dataset was asked for, where that is known."""
        loaders = loaders_of(self._trainer, phase)
        if loader_idx >= len(loaders):  # several at a time
            return None
        return rows_of(follower_of(loaders[loader_idx]).loader, batch_idx)

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._replaced.put_all_back()

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._replaced.put_all_back()


if Rehearsal.current() is not None:  # what is made from here on is to be known
    note_origins()

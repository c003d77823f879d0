"""Interrupt a run anywhere, start it again, and get the run that was never interrupted."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils._pytree import tree_map_only
from typing_extensions import override

from leyden.errors import ConfigError
from leyden.resume import (
    STATE_VERSION,
    Baseline,
    CheckpointStore,
    Continuation,
    FastForward,
    Interrupted,
    Interrupts,
    LoaderFollower,
    LoopHooks,
    Making,
    Moment,
    as_it_was,
    as_made,
    as_plain,
    callbacks_of,
    check_fast_forward,
    draws_ahead,
    dump,
    files_of,
    first_of_loop,
    follow,
    follower_of,
    gathered,
    has_to_make,
    leave_quietly,
    loaders_of,
    logger_states,
    making_of,
    observe,
    rank_state,
    written_state,
)
from leyden.resume.checkpoints import Intervals

__all__ = ["STATE_KEY", "ExactResume"]

STATE_KEY = "leyden.resume"
"""Of a checkpoint: what it holds beside Lightning's own state."""

_log = logging.getLogger(__name__)
_PHASES = ("train", "val")


class ExactResume(Callback):
    """Write all that a run consists of, and have a run that goes on repeat it bit for bit.

    One line makes any project's training resumable::

        trainer = Trainer(callbacks=[ExactResume("checkpoints")])
        trainer.fit(model, data, ckpt_path=latest_checkpoint("checkpoints"))

    Between two batches, every ``every_seconds`` or ``every_n_steps``, it writes a checkpoint of
    Lightning's form, with the rest beside: random generators, places in the loaders, gradients
    that are being accumulated, running metrics and averages, the place in a validation. Files that
    ``ModelCheckpoint`` writes at the end of a batch, of a validation or of an epoch hold it too.

    SIGINT (Ctrl-C) and SIGTERM end the run after the batch at hand, with a checkpoint; the exit
    code is 130 or 143. In a notebook ``fit`` returns, and the next ``fit`` goes on. A second
    signal ends it at once. SIGUSR1 has a checkpoint written. After an exception or SIGKILL, the
    run goes on from the last checkpoint, and makes again what came after it.

    Args:
        dirpath: Folder of the checkpoints; of one run at a time.
        every_n_steps: Write whenever so many optimizer steps have been made.
        every_seconds: Write whenever so many seconds have passed; ``None`` not to.
        keep: Number of newest checkpoints that are kept.
        fast_forward: How a loader without state gets back to its place: ``index`` skips in the
            sampler, which is exact if worker processes draw no random numbers; ``replay`` draws the
            batches once more; ``auto`` takes the first if it was exact so far, else the second.

    Raises:
        ConfigError: If an argument is out of range, the folder cannot be written to, or there are
            two of it among the callbacks.
        ResumeError: If another process uses the folder, or a state does not fit.
    """

    def __init__(
        self,
        dirpath: str | os.PathLike[str],
        *,
        every_n_steps: int | None = None,
        every_seconds: float | None = 60.0,
        keep: int = 3,
        fast_forward: FastForward = "auto",
    ) -> None:
        super().__init__()
        self._intervals = Intervals(every_n_steps, every_seconds)
        check_fast_forward(fast_forward)
        self.dirpath = Path(dirpath)
        self._fast_forward = fast_forward
        self._store = CheckpointStore(dirpath, keep=keep)
        self._interrupts = Interrupts()
        self._hooks: LoopHooks | None = None
        self._continuation: Continuation | None = None
        self._moment = Moment.ELSEWHERE
        self._first_of_loop: bool | None = None  # as it was before a validation
        self._has_paused = False
        self._is_own = False  # the checkpoint that the run goes on from
        self._baseline: Baseline | None = None  # how things were before the training
        self._made: dict[str, Making] = {}  # how things were when loaders were made
        self._to_make: dict[str, Making] = {}  # ... in the run that this one goes on with

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._clean_up()
        others = [one for one in callbacks_of(trainer) if isinstance(one, ExactResume)]
        if len(others) > 1:
            raise ConfigError(
                f"Expected one `ExactResume` among the callbacks, but got {len(others)}. Keep one, "
                "and have `ModelCheckpoint` write to other folders."
            )
        if trainer.fast_dev_run:  # type: ignore[attr-defined] # set outside its class
            return
        self._trainer, self._module = trainer, pl_module
        self._moment = Moment.ELSEWHERE
        self._baseline, self._made, self._to_make = None, {}, {}
        self._intervals.begin()
        if stage == "fit":
            observe(trainer, pl_module, self.dirpath)
        self._hooks = LoopHooks(
            trainer,
            between_batches=self._between_batches,
            in_validation=self._in_validation,
            in_evaluation=self._leave_if_asked,
            on_making=self._make,
            on_loader=self._follow,
            on_checkpoint=as_it_was,
        )
        self._interrupts.install()
        if stage == "fit" and trainer.is_global_zero:
            self._store.open()

    @override
    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._hooks is None or trainer.state.fn != "fit":
            return
        state = as_it_was(checkpoint.get(STATE_KEY, {}))
        if not state:
            warnings.warn(
                "The checkpoint was written without `ExactResume`: the run goes on as Lightning "
                "has it, which is not exact.",
                stacklevel=2,
            )
            return
        if state["moment"] == Moment.ELSEWHERE:
            warnings.warn(
                "The checkpoint was written in the middle of a step: the run goes on as Lightning "
                f"has it, which is not exact. Pass `latest_checkpoint({str(self.dirpath)!r})`.",
                stacklevel=2,
            )
            return
        self._continuation = Continuation(
            state, checkpoint, rank=trainer.global_rank, world_size=trainer.world_size
        )
        if not self._continuation.is_same_world:
            warnings.warn(
                f"The checkpoint was written by {state['world_size']} processes and is read by "
                f"{trainer.world_size}: the run goes on, but not bit for bit.",
                stacklevel=2,
            )
        path = trainer.ckpt_path
        self._is_own = path is not None and Path(path).parent.resolve() == self.dirpath.resolve()
        self._continuation.continue_loggers(trainer)
        self._to_make = self._continuation.makings()

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._has_paused:  # and set the path for this run
            trainer.ckpt_path, self._has_paused = None, False
        if self._hooks is None:  # a trial run
            return
        baseline = self._the_baseline()
        if self._continuation is not None:
            self._continuation.start(trainer, pl_module, self._followers, baseline)

    def _the_baseline(self) -> Baseline:
        """How things were before the training, or before a loader was made, if that came first."""
        if self._baseline is None:
            self._baseline = Baseline.of(self._trainer, self._module)
        return self._baseline

    @contextmanager
    def _make(self, phase: str) -> Iterator[None]:
        """Have loaders made as the run that this one goes on with had them made last."""
        trainer, module, baseline = self._trainer, self._module, self._the_baseline()
        making = self._to_make.pop(phase, None)
        if making is not None and self._continuation and self._continuation.makes_again(phase):
            self._to_make[phase] = making
        if making is None or (self._continuation is None and has_to_make(trainer, phase)):
            self._made[phase] = making_of(trainer, module, baseline)
            yield
        else:
            self._made[phase] = making
            with as_made(making, trainer, module, baseline):
                yield

    def _follow(self, phase: str, loader: Any) -> Any:
        """Take a loader of the user's, and give Lightning one that is followed."""
        if phase not in _PHASES:
            return loader
        is_ahead = partial(draws_ahead, self._trainer, phase)
        follower = LoaderFollower(loader, self._fast_forward, is_ahead)
        if follower.problem is not None:
            warnings.warn(
                f"A {phase} loader ({type(loader).__name__}) cannot be resumed exactly: "
                f"{follower.problem}.",
                stacklevel=2,
            )
        _log.info("%s loader %s: %s", phase, type(loader).__name__, follower.way)
        if self._continuation is not None:
            self._continuation.place(phase, follower)
        return follow(loader, follower)

    def _followers(self, phase: str) -> list[LoaderFollower]:
        return [follower_of(loader) for loader in loaders_of(self._trainer, phase)]

    def _between_batches(self) -> None:
        self._moment = Moment.BETWEEN_BATCHES
        self._note_return()
        self._look_around()
        self._moment = Moment.ELSEWHERE

    def _in_validation(self) -> None:
        self._moment = Moment.IN_VALIDATION
        self._note_return()
        self._look_around()
        self._moment = Moment.ELSEWHERE

    def _note_return(self) -> None:
        """The run is where the checkpoint was, which need not be written a second time."""
        if self._continuation is not None:
            self._continuation = None
            if self._is_own:
                self._intervals.note(self._trainer.global_step)

    def _look_around(self) -> None:
        """Write a checkpoint if one is due, and leave if that was asked for."""
        asked = bool(self._interrupts.leave) or self._interrupts.write
        is_due = self._interrupts.write or self._intervals.is_due(self._trainer.global_step)
        leave, write = self._agreed(self._interrupts.leave, is_due)
        if leave or write:  # what was asked for is not left out in favour of a newer one
            self._write(wait=asked or bool(leave) or not self._intervals.has_begun)
        if leave:
            self._leave(leave)

    def _agreed(self, leave: int, write: bool) -> tuple[int, bool]:
        """Have all ranks do the same."""
        if self._trainer.world_size == 1:
            return leave, write
        asked = torch.tensor([leave, write], device=self._trainer.strategy.root_device)
        torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
        return int(asked[0]), bool(asked[1])

    def _write(self, *, wait: bool) -> None:
        self._interrupts.write = False
        checkpoint = dump(self._trainer)
        if self._trainer.is_global_zero:
            copied = tree_map_only(
                Tensor, lambda value: value.detach().to("cpu", copy=True), checkpoint
            )
            self._store.write(copied, step=self._trainer.global_step, wait=wait)
        self._intervals.note(self._trainer.global_step)

    def _leave_if_asked(self) -> None:
        leave, _ = self._agreed(self._interrupts.leave, False)
        if leave:
            self._leave(leave)

    def _leave(self, signum: int) -> None:
        newest = self._store.newest() if self._trainer.state.fn == "fit" else None
        if newest is not None:
            self._trainer.ckpt_path, self._has_paused = newest, True
        if hasattr(sys, "ps1"):
            raise leave_quietly()
        raise Interrupted(signum)

    @override
    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._hooks is None or trainer.state.fn != "fit":
            return
        followers = {phase: self._followers(phase) for phase in _PHASES}
        made = {**self._to_make, **self._made}
        state = rank_state(trainer, pl_module, followers, self._the_baseline(), made)
        state["logged"]["before_val"] = self._first_of_loop
        loggers = logger_states(trainer.loggers) if trainer.is_global_zero else []
        own = {
            "version": STATE_VERSION,
            "moment": self._moment.value,
            "should_stop": trainer.should_stop,
            "world_size": trainer.world_size,
            "ranks": gathered(state, trainer),
            "loggers": loggers,
            "files": files_of(trainer.checkpoint_callbacks),
            "written": written_state(trainer.checkpoint_callbacks),
        }
        checkpoint[STATE_KEY] = as_plain(own)  # here, as others write it to files of theirs

    @override
    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._forget("val")

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._moment = Moment.ELSEWHERE

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._moment = Moment.BATCH_END

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._moment = Moment.ELSEWHERE
        self._first_of_loop = first_of_loop(trainer)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._moment = Moment.VALIDATION_END
            self._forget("val")

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._moment = Moment.EPOCH_END
        self._forget("train")

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._moment = Moment.END
        if self._hooks is not None:
            self._write(wait=True)

    def _forget(self, phase: str) -> None:
        if self._hooks is not None:
            for follower in self._followers(phase):
                follower.forget()

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._clean_up()

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._clean_up()

    def _clean_up(self) -> None:
        """Leave signals, trainer and folder as they were found."""
        self._interrupts.remove()
        if self._continuation is not None:
            self._continuation.abandon()
            self._continuation = None
        if self._hooks is not None:
            for phase in _PHASES:
                for follower in self._followers(phase):
                    follower.close()
            self._hooks.remove()
            self._hooks = None
        self._store.close()

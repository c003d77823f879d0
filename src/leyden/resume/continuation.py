"""Going on from a checkpoint: from the moment Lightning has read it to the first batch."""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, StochasticWeightAveraging

from leyden.errors import ResumeError
from leyden.resume.attributes import Baseline
from leyden.resume.checkpoints import overwrite_later_files
from leyden.resume.loaders import LoaderFollower
from leyden.resume.loggers import continue_loggers
from leyden.resume.making import Making
from leyden.resume.moments import Moment
from leyden.resume.rank_state import callbacks_of, restore_rank_state, set_modes
from leyden.resume.replaced import Replaced
from leyden.resume.started import Started
from leyden.resume.trainer_internals import (
    Continued,
    continue_between_epochs,
    continue_epoch,
    mend_progress,
    note_written,
    restore_progress,
    restore_written,
)

__all__ = ["STATE_VERSION", "Continuation"]

STATE_VERSION = 3

_WITHIN_AN_EPOCH = (
    Moment.BETWEEN_BATCHES,
    Moment.BATCH_END,
    Moment.IN_VALIDATION,
    Moment.VALIDATION_END,
)
_WITHIN_VALIDATION = (Moment.IN_VALIDATION, Moment.VALIDATION_END)


class Continuation:
    """A state that a run goes on from.

    Args:
        state: What ``ExactResume`` put into the checkpoint.
        checkpoint: The checkpoint, not yet taken apart by Lightning; its counts are mended.
        rank: Of this process.

    Raises:
        ResumeError: If the state is of another version, or there is no state for this rank.
    """

    def __init__(
        self, state: Mapping[str, Any], checkpoint: dict[str, Any], *, rank: int, world_size: int
    ) -> None:
        if state["version"] != STATE_VERSION:
            raise ResumeError(
                f"Expected a state of version {STATE_VERSION}, but got {state['version']!r}. "
                "Go on with the release of leyden that wrote the checkpoint."
            )
        self.moment = Moment(state["moment"])
        self.is_same_world = state["world_size"] == world_size
        self._state = state
        self._rank_state = state["ranks"][rank if self.is_same_world else 0]
        self._callbacks = checkpoint["callbacks"]
        self._loops = checkpoint["loops"]["fit_loop"]
        mend_progress(self._loops)
        self._loops = copy.deepcopy(self._loops)
        self._to_place = {phase: list(some) for phase, some in self._rank_state["loaders"].items()}
        self._parts = {name: checkpoint.get(name) for name in Started.PARTS}
        self._replaced = Replaced()
        self._is_back = False  # everything is as it was when the checkpoint was written

    def continue_loggers(self, trainer: Trainer) -> None:
        """Have loggers write on where they were, and what follows their folders too.

        Args:
            trainer: The trainer.
        """
        moved = {}
        if trainer.is_global_zero:  # the loggers of other ranks write nothing
            moved = continue_loggers(trainer.loggers, self._state["loggers"])
        moved = trainer.strategy.broadcast(moved)
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.dirpath is not None:
                for new, old in moved.items():
                    if Path(callback.dirpath).is_relative_to(new):
                        rest = Path(callback.dirpath).relative_to(new)
                        callback.dirpath = str(Path(old, rest))
        overwrite_later_files(trainer.checkpoint_callbacks, self._state["files"], self._callbacks)

    def makings(self) -> dict[str, Making]:
        """How things were when the loaders were made, by phase."""
        return dict(self._rank_state["made"])

    def makes_again(self, phase: str) -> bool:
        """Say whether loaders that are about to be made are those of the checkpoint, once more.

        A trainer that is asked for its number of steps has those of training made early, and may
        have them made again before the training goes on.

        Args:
            phase: Of the loaders.
        """
        if phase != "train" or self._is_back:
            return False
        self._to_place[phase] = list(self._rank_state["loaders"][phase])
        return True

    def place(self, phase: str, follower: LoaderFollower) -> None:
        """Bring the next loader of a phase to its place.

        Args:
            phase: Of the loader.
            follower: Follows it.
        """
        if states := self._to_place.get(phase):
            follower.load_state_dict(states.pop(0))

    def start(
        self,
        trainer: Trainer,
        module: LightningModule,
        followers_of: Callable[[str], Sequence[LoaderFollower]],
        baseline: Baseline,
    ) -> None:
        """Have the training that is about to begin go on instead.

        Args:
            trainer: The trainer.
            module: Its module.
            followers_of: Gives the followers of the loaders of a phase, as they are then.
            baseline: How things were before the training of this process.
        """
        started = Started(module, self._parts)

        def restore() -> None:
            self._is_back = True
            started.restore(trainer, module)
            restore_progress(trainer, self._loops)
            if self.moment in _WITHIN_AN_EPOCH:
                _average_on(trainer, module)
            trainer.should_stop = self._state["should_stop"]
            self._restore_written(trainer)
            followers = {phase: followers_of(phase) for phase in self._to_place}
            restore_rank_state(trainer, module, followers, self._rank_state, baseline)

        def restore_between() -> None:
            for one in followers_of("train"):
                one.forget()  # Lightning may have drawn a batch already
            restore()

        trainer.should_stop = self._state["should_stop"] and self.moment is Moment.END
        if self.moment in _WITHIN_VALIDATION:  # else Lightning warns of parts that do not train
            set_modes(module, self._rank_state["logged"]["val_modes"])
        if self.moment in _WITHIN_AN_EPOCH:
            before_val = self._rank_state["logged"]["before_val"]
            place = Continued(self.moment, self._loops, before_val)
            continue_epoch(trainer, self._replaced, restore, place)
        else:
            is_end = self.moment is Moment.EPOCH_END
            continue_between_epochs(trainer, self._replaced, restore_between, is_end)

    def _restore_written(self, trainer: Trainer) -> None:
        restore_written(trainer.checkpoint_callbacks, self._state["written"])
        if trainer.ckpt_path is not None:  # one of theirs, perhaps
            path = Path(trainer.ckpt_path)
            note_written(trainer.checkpoint_callbacks, path, trainer.global_step)

    def abandon(self) -> None:
        """Put back what was replaced for the sake of it."""
        self._replaced.put_all_back()


def _average_on(trainer: Trainer, module: LightningModule) -> None:
    """Have averaging of weights begin, whose hook at the epoch's start was called long ago."""
    groups = [dict(group) for optimizer in trainer.optimizers for group in optimizer.param_groups]
    for callback in callbacks_of(trainer):
        if isinstance(callback, StochasticWeightAveraging) and (
            callback.swa_start <= trainer.current_epoch <= callback.swa_end
        ):
            callback.on_train_epoch_start(trainer, module)
    changed = (group for optimizer in trainer.optimizers for group in optimizer.param_groups)
    for group, before in zip(changed, groups, strict=True):
        group.update(before)  # it sets learning rates, as at the beginning

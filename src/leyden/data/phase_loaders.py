"""The loaders of all phases, kept in step with what Lightning counts."""

from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from typing import Any

from leyden.data.assembly import Assembler, Batch
from leyden.data.loader import BatchLoader
from leyden.data.material import Material
from leyden.data.origin import BatchOrigin
from leyden.data.plan import EpochPlan
from leyden.data.standing import count_epochs
from leyden.data.status import Status, make_status
from leyden.data.workers import BlockMaker
from leyden.types import Phase

__all__ = ["PhaseLoaders"]

_RELOAD = "reload_dataloaders_every_n_epochs"
_LIMITS = {
    Phase.TRAIN: "num_training_batches",
    Phase.VAL: "num_val_batches",
    Phase.TEST: "num_test_batches",
    Phase.PREDICT: "num_predict_batches",
}


class PhaseLoaders:
    """Makes the loader of each phase, and knows which one handed out a batch last.

    Args:
        material: The rows of every phase, and what is done to them.
        plan: Gives the plan of an epoch, called with the phase and what a ``PlanMaker`` is given.
        make_blocks: Gives what makes blocks by an assembler.
        trainer: Gives the trainer that the data is for; ``None`` while there is none.
    """

    def __init__(
        self,
        material: Material,
        plan: Callable[..., EpochPlan],
        make_blocks: Callable[[Assembler], BlockMaker],
        trainer: Callable[[], Any],
    ) -> None:
        self._material, self._plan = material, plan
        self._make_blocks, self._trainer = make_blocks, trainer
        self._loaders: dict[Phase, BatchLoader] = {}
        self._plans: dict[Phase, EpochPlan] = {}  # of each phase, the one asked for last
        self._reload_every = 0  # epochs, as the trainer was told by its user
        self._told_every: int | None = None  # what it was told instead
        self._place: dict[str, Any] | None = None  # where the next training loader begins
        self._fingerprint: str | None = None  # of the data that it is to have
        self._num_begun: int | None = None  # epochs that a checkpoint has seen batches of
        self._is_waiting = False  # for the first batch of training
        self._begun: EpochPlan | None = None  # the epoch that was begun with other batches
        self._is_new = False  # no training loader was made since ``begin``
        self._is_early = False  # the training loader was made before Lightning knew its epoch
        self._last: tuple[Phase, BatchLoader] | None = None  # that handed out a batch

    def begin(self) -> None:
        """Take the trainer as it is now, which goes on from nowhere."""
        self._plans, self._last = {}, None
        self._place = self._fingerprint = self._num_begun = self._begun = None
        self._is_new, self._is_early = True, False
        every = getattr(self._trainer(), _RELOAD, 0)
        if every != self._told_every:  # else it is left from an earlier fit
            self._reload_every = max(0, every)

    def make(self, phase: Phase) -> BatchLoader:
        """Make a new loader of a phase.

        Raises:
            DataError: If the phase has no data.
        """
        assembler = self._material.assembler(phase)
        loader = self._loaders[phase] = BatchLoader(
            assembler,
            partial(self._plan, phase),
            fingerprint=assembler.store.catalog.fingerprint,
            every_epoch_alike=phase is not Phase.TRAIN,
            cut=self._material.cut(phase),
            make_blocks=self._make_blocks(assembler),
            on_batch=partial(self._note, phase),
            on_end=partial(self._note_end, phase),
        )
        # Lightning asks for the length before it says which epoch comes.
        loader.set_epoch(getattr(self._trainer(), "current_epoch", 0))
        self._announce_lengths()  # a checkpoint may be of the end of this epoch
        return loader

    # Methods, rather than functions made in `make`: these can be pickled with the loader.
    def _note(self, phase: Phase, loader: BatchLoader) -> None:
        self._last = phase, loader
        if self._is_waiting and phase is Phase.TRAIN:
            self._is_waiting, self._place, self._fingerprint = False, None, None
            self._begun = loader.plan if loader.plan.first_index else self._begun

    def _note_end(self, phase: Phase, _loader: BatchLoader) -> None:
        if phase is Phase.TRAIN:
            self._announce_lengths()

    def make_for_training(self) -> BatchLoader:
        """Make the training loader, which begins at the place that was loaded, if one was."""
        trainer = self._trainer()
        fit_loop = getattr(trainer, "fit_loop", None)
        if self._num_begun is not None and fit_loop is not None and fit_loop.is_resuming:
            count_epochs(fit_loop, self._num_begun, is_within=self._place is not None)
            self._num_begun = None
        restarts = fit_loop is not None and fit_loop.epoch_loop.restarting
        resumes = getattr(trainer, "ckpt_path", None) is not None
        # ``trainer.estimated_stepping_batches`` asks before the loops have their state.
        self._is_early = self._is_new and resumes and not restarts
        self._is_new = False
        loader, self._is_waiting = self.make(Phase.TRAIN), True
        # Both are kept until the first batch, since Lightning may ask again.
        if self._fingerprint is not None:
            loader.expect(self._fingerprint)
        if self._place is not None:
            loader.load_state_dict(self._place)
        if restarts:
            self._end_an_epoch_without_batches(loader, fit_loop)
        return loader

    def _end_an_epoch_without_batches(self, loader: BatchLoader, fit_loop: Any) -> None:
        """Have Lightning begin the next epoch, if a checkpoint is of one with no batch left.

        By itself it compares what it has counted with the number of batches, which may be another
        one now.
        """
        epochs, batches = fit_loop.epoch_progress.total, fit_loop.epoch_loop.batch_progress
        if batches.is_last_batch or (self._place is not None and loader.is_at_end):
            batches.is_last_batch = True
            batches.current.completed = max(batches.current.completed, len(loader))
            if epochs.processed < epochs.started:  # it may ask for a batch all the same
                loader.skip_rest()

    def _announce_lengths(self) -> None:
        """Have Lightning, which asks a loader for its length once, ask again if one will change."""
        trainer = self._trainer()
        if trainer is not None:
            changes = any(
                len(self._plan(phase, loader.plan.epoch + 1)) != len(loader)
                for phase, loader in self._loaders.items()
            )
            every = -1 if self._is_early else 1 if changes else self._reload_every  # -1: at once
            setattr(trainer, _RELOAD, every)  # an attribute that Trainer does not declare
            self._told_every = every

    def next_epoch(self, phase: Phase) -> int:
        """Give the first epoch of a phase of which no batch was handed out, from zero."""
        loader = self._loaders.get(phase)
        return 0 if loader is None else loader.plan.epoch + _has_begun(loader)

    def replan(self, phase: Phase) -> None:
        """Have the loader of a phase take over a new plan, unless it is in the middle of one."""
        self._plans.pop(phase, None)
        loader = self._loaders.get(phase)
        if loader is not None:
            if not _has_begun(loader):
                loader.renew()
            self._announce_lengths()

    def origin(self, phase: Phase, epoch: int, batch_index: int) -> BatchOrigin:
        """Tell where a batch comes from; reads nothing.

        Raises:
            DataError: If the phase has no data.
            IndexError: If the epoch has no such batch.
        """
        loader = self._loaders.get(phase)
        if loader is not None and loader.plan.epoch == epoch:
            return loader.plan[batch_index]
        plan = self._plans.get(phase)
        if plan is None or plan.epoch != epoch:
            begun = self._begun if phase is Phase.TRAIN else None
            if begun is None or begun.epoch != epoch:
                begun = self._plan(phase, epoch)
            plan = self._plans[phase] = begun
        return plan[batch_index]

    def fetch(self, phase: Phase, epoch: int, batch_index: int) -> Batch:
        """Read a batch, as the loader of its phase hands it out.

        Raises:
            DataError: If the phase has no data.
            IndexError: If the epoch has no such batch.
            ShardError: If a shard is missing or broken.
        """
        origin = self.origin(phase, epoch, batch_index)
        loader = self._loaders[phase] if phase in self._loaders else self.make(phase)
        return loader.fetch(origin)

    @property
    def status(self) -> Status | None:
        """What is being fit right now; ``None`` before the first batch."""
        phase, loader = self._last or (Phase.TRAIN, None)
        progress = loader and loader.latest
        return make_status(phase, progress, self._limit(phase)) if progress else None

    def _limit(self, phase: Phase) -> float:
        """Tell after how many batches of a phase the trainer ends an epoch."""
        trainer = self._trainer()
        is_trial = phase is Phase.VAL and getattr(trainer, "sanity_checking", False)
        name = "num_sanity_val_batches" if is_trial else _LIMITS[phase]
        limits = getattr(trainer, name, inf)
        first = limits if isinstance(limits, int | float) else next(iter(limits), inf)
        return first or inf  # 0 before it is known

    def state_dict(self) -> dict[str, Any]:
        """Write down the training data, and the place in it if that is within an epoch."""
        loader = self._loaders.get(Phase.TRAIN)
        if loader is None:
            return {}
        place = loader.state_dict()
        state = {"fingerprint": place["fingerprint"], "next_epoch": self.next_epoch(Phase.TRAIN)}
        is_within = 0 < loader.progress.num_batches < len(loader)
        return state | {"train": place} if is_within else state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next training loader begin at a place.

        Args:
            state: What ``state_dict`` returned, perhaps among other things.
        """
        self._place, self._fingerprint = state.get("train"), state.get("fingerprint")
        self._num_begun = state.get("next_epoch")

    def close(self) -> None:
        """End the worker processes of all loaders."""
        for loader in self._loaders.values():
            loader.close()


def _has_begun(loader: BatchLoader) -> bool:
    return loader.progress.num_batches > 0

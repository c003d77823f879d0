"""The moments of training in their documented order, each exactly once."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from leyden.errors import ResumeError
from leyden.lifecycle.hook_set import HookSet
from leyden.lifecycle.quiet import quietly
from leyden.lifecycle.results import Fetches, Results, copy_fetches, make_feeds
from leyden.lifecycle.run_view import RunView, Stage
from leyden.lifecycle.stages import EPOCH_VAL_END

__all__ = ["Moments"]

_STATE_VERSION = 1


class Moments:
    """Calls hooks at the moments of a run, whatever the loop that goes through them.

    The order of an epoch is::

        before_epoch
            before_step
            after_step, train:iter, train:batch
        after_epoch, train:epoch
            val:iter, val:batch
        val:epoch, val_end

    Each is called once, also if an epoch's end is announced twice or its start is not, as it
    happens when a run is resumed.

    Args:
        hooks: The hooks.
        fetches: Functions ``function(module, **feeds)`` in a nested dictionary.
    """

    def __init__(self, hooks: HookSet, fetches: Fetches) -> None:
        self._hooks, self._given_fetches = hooks, fetches
        self._fetches = fetches
        self._has_step_hooks = hooks.has("before_step", "after_step", "wants")
        self._step: tuple[Results, dict[str, Any]] | None = None  # between its start and its end
        self._open_epoch: int | None = None
        self._open_validation: Stage | None = None  # whose last batch is done, but no more
        self.run: RunView

    def attach(self, run: RunView) -> None:
        """Begin a run.

        Args:
            run: The trainer, the module, the data and the counters.
        """
        self.run = run
        self._step = self._open_epoch = self._open_validation = None
        self._hooks.attach(run)

    @property
    def in_epoch(self) -> bool:
        """Whether an epoch has begun and not ended."""
        return self._open_epoch is not None

    def add_fetches(self, fetches: Fetches) -> None:
        """Offer what the module has beside the given ones, under names that are free.

        Args:
            fetches: Functions in a nested dictionary; they replace those of another module.
        """
        self._fetches = {**fetches, **self._given_fetches}

    def begin_epoch(self, epoch: int) -> None:
        """Call ``before_epoch``, unless the epoch was begun before an interruption.

        Args:
            epoch: Which one, from zero.
        """
        if self._open_epoch == epoch:
            return
        self.end_epoch()  # of which only the checkpoint before its end was left
        self._open_epoch = epoch
        self._hooks.call("before_epoch", epoch)

    def begin_step(self, batch: Any) -> None:
        """Call ``before_step``.

        Args:
            batch: What the step is given.
        """
        if not self._has_step_hooks:
            return
        step = self.run.counters.num_iters
        fetches = {"global_step": lambda _module, **_feeds: step} | copy_fetches(self._fetches)
        feeds = make_feeds(batch)
        self._hooks.call("before_step", step, fetches, feeds, batch)
        results = Results(fetches, partial(self._evaluate, feeds))
        for paths in self._hooks.call("wants", step):
            for path in paths:
                _ = results[path]
        self._step = results, feeds

    def _evaluate(self, feeds: dict[str, Any], function: Any) -> Any:
        with quietly(self.run.module):
            return function(self.run.module, **feeds)

    def end_step(self, outputs: Any, batch: Any, *, ends_batch: bool) -> None:
        """Call ``after_step`` and what comes at the end of an iteration, and of a batch.

        Args:
            outputs: What the step returned.
            batch: What it was given.
            ends_batch: Whether this was the last time window of its batch.
        """
        run, counters = self.run, self.run.counters
        counters.num_iters += 1
        counters.num_batches += ends_batch
        run.outputs, run.batch = outputs, batch
        if self._step is not None:
            results, feeds = self._step
            self._step = None  # lets go of what was computed
            results.add("outputs", outputs)
            self._hooks.call("after_step", counters.num_iters, results, feeds, batch)
        self._hooks.fire(run, "train:iter")
        if ends_batch:
            self._hooks.fire(run, "train:batch")
        run.outputs = run.batch = None

    def end_epoch(self) -> None:
        """Call what comes after the last step of an epoch, unless it has been called."""
        if self._open_epoch is None:
            return
        epoch, self._open_epoch = self._open_epoch, None
        self.run.counters.num_epochs += 1
        self._hooks.call("after_epoch", epoch)
        self._hooks.fire(self.run, "train:epoch")

    def end_val_step(self, outputs: Any, batch: Any, *, ends_batch: bool) -> None:
        """Call what comes at the end of a validation step.

        Args:
            outputs: What the step returned.
            batch: What it was given.
            ends_batch: Whether this was the last time window of its batch.
        """
        run, counters = self.run, self.run.counters
        counters.num_val_iters += 1
        counters.num_val_batches += ends_batch
        run.outputs, run.batch = outputs, batch
        self._hooks.fire(run, "val:iter")
        if ends_batch:
            self._hooks.fire(run, "val:batch")
        run.outputs = run.batch = None

    def end_val_epoch(self, *, ends_epoch: bool) -> None:
        """Call what comes after the last step of a validation.

        Args:
            ends_epoch: Whether the validation comes after the last step of a train epoch.
        """
        self._open_validation = EPOCH_VAL_END if ends_epoch else "val_end"
        self._hooks.fire(self.run, "val:epoch")

    def end_validation(self) -> None:
        """Call what comes last in a validation, unless it has been called."""
        if self._open_validation is None:
            return
        stage, self._open_validation = self._open_validation, None
        self.run.counters.num_validations += 1
        self._hooks.fire(self.run, stage)

    def save(self) -> None:
        """Call what comes before a checkpoint is written."""
        self._hooks.fire(self.run, "save")

    def load(self) -> None:
        """Call what comes once a checkpoint has been loaded, and what it was saved before."""
        self._hooks.fire(self.run, "load")
        self.end_validation()

    def call(self, moment: str) -> None:
        """Call hooks without arguments.

        Args:
            moment: Name of the method.
        """
        self._hooks.call(moment)

    def at_exception(self, exception: BaseException) -> None:
        """Tell hooks that the run is broken off.

        Args:
            exception: Why.
        """
        self._step = None
        self._hooks.at_exception(exception)

    def state_dict(self) -> dict[str, Any]:
        """Write down how far the run is."""
        stage = self._open_validation
        return {
            "version": _STATE_VERSION,
            "counters": self.run.counters.state_dict(),
            "open_epoch": self._open_epoch,
            "open_validation": list(stage) if isinstance(stage, tuple) else stage,
            "hooks": self._hooks.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another run was.

        Args:
            state: What ``state_dict`` returned.

        Raises:
            ResumeError: If it is of another version.
        """
        if state.get("version") != _STATE_VERSION:
            problem = f"Expected the state of hooks to have version {_STATE_VERSION}"
            raise ResumeError(f"{problem}, but got {state.get('version')!r}.")
        self.run.counters.load_state_dict(state["counters"])
        stage = state["open_validation"]
        self._open_epoch = state["open_epoch"]
        self._open_validation = tuple(stage) if isinstance(stage, list) else stage
        self._hooks.load_state_dict(state["hooks"])

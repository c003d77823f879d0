"""A loader that hands out the batches of a plan, and knows its place in it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import Sampler, SequentialSampler

from leyden.data.gather import ShardStore
from leyden.data.origin import BatchOrigin
from leyden.data.plan import EpochPlan
from leyden.errors import ResumeError

__all__ = ["Batch", "BatchLoader", "Progress"]

Batch: TypeAlias = Tensor | tuple[Tensor, Tensor]
"""Inputs ``(batch, ...)``, with labels ``(batch, ...)`` if there are any."""

_STATE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an epoch has come.

    Args:
        epoch: Which epoch, from zero.
        num_batches: Batches handed out in it so far.
        num_rows: Rows handed out in it so far.
        rows_per_second: Speed since the first batch of this epoch that this process handed out.
    """

    epoch: int
    num_batches: int
    num_rows: int
    rows_per_second: float


def _ignore(_loader: "BatchLoader") -> None:
    """Do nothing about a batch."""


class BatchLoader:
    """The batches of one phase, epoch after epoch; ``lightning.Trainer`` takes it as it is.

    Iterating is lazy: nothing is read or counted before the first batch is asked for, so
    that a state that is loaded, or an epoch that is set, after ``iter`` still counts.

    Args:
        store: Reads the rows.
        make_plan: Gives the plan of an epoch.
        fingerprint: Digest of the data, kept in the state.
        every_epoch_alike: Whether going through the data again is no new epoch, as for validation.
        on_batch: Called with the loader whenever it hands out a batch.
    """

    def __init__(
        self,
        store: ShardStore,
        make_plan: Callable[[int], EpochPlan],
        *,
        fingerprint: str,
        every_epoch_alike: bool = False,
        on_batch: Callable[["BatchLoader"], None] = _ignore,
    ) -> None:
        self._store, self._make_plan, self._fingerprint = store, make_plan, fingerprint
        self._every_epoch_alike, self._on_batch = every_epoch_alike, on_batch
        self._plan = make_plan(0)
        self._done = 0  # batches handed out in this epoch
        self._resume_at = 0  # batches to skip when the epoch is next begun
        self._clock = (time.perf_counter(), 0)  # when this process began the epoch, and where

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return len(self._plan)

    def __iter__(self) -> Iterator[Batch]:
        """Begin an epoch, or go on with the one that a loaded state was in."""
        return self._batches()

    def _batches(self) -> Iterator[Batch]:
        start, self._resume_at = self._resume_at, 0
        is_over = start == 0 and self._done == len(self._plan) and not self._every_epoch_alike
        self._go_to(self._plan.epoch + is_over, start)
        plan = self._plan
        for batch_index in range(start, len(plan)):
            batch = self.fetch(plan[batch_index])
            self._done = batch_index + 1
            self._on_batch(self)
            yield batch

    def fetch(self, origin: BatchOrigin) -> Batch:
        """Read the rows of a batch.

        Args:
            origin: Which rows.

        Returns:
            Inputs, and labels if there are any.

        Raises:
            ShardError: If a shard is missing or broken.
        """
        inputs = torch.from_numpy(self._store.inputs(origin))
        if not self._store.has_labels:
            return inputs
        return inputs, torch.from_numpy(self._store.labels(origin))

    batch_sampler = None  # Lightning looks at it wherever there is a sampler

    @property
    def sampler(self) -> Sampler[int]:
        """What Lightning tells the epoch to, and what it takes for an order that it may keep."""
        return _EpochSampler(self)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next.

        A state that was loaded in the middle of this very epoch keeps its place; one that was
        loaded at its end does not begin it again.

        Args:
            epoch: The epoch, from zero.
        """
        if epoch != self._plan.epoch:
            self._go_to(epoch, 0)
            self._resume_at = 0

    def _go_to(self, epoch: int, num_batches: int) -> None:
        if epoch != self._plan.epoch:
            self._plan = self._make_plan(epoch)
        self._done, self._clock = num_batches, (time.perf_counter(), num_batches)

    @property
    def plan(self) -> EpochPlan:
        """The plan of the current epoch."""
        return self._plan

    @property
    def progress(self) -> Progress:
        """How far the current epoch has come."""
        began, start = self._clock
        rows = self._rows_of(self._done)
        seconds = time.perf_counter() - began
        speed = (rows - self._rows_of(start)) / seconds if seconds > 0 else 0.0
        return Progress(self._plan.epoch, self._done, rows, speed)

    def _rows_of(self, num_batches: int) -> int:
        return min(num_batches * self._plan.batch_size, self._plan.num_rows)

    def state_dict(self) -> dict[str, Any]:
        """Write down the place in the data: a few numbers."""
        return {
            "version": _STATE_VERSION,
            "epoch": self._plan.epoch,
            "rows": self._rows_of(self._done),
            "batch_size": self._plan.batch_size,
            "seed": self._plan.seed,
            "shuffle": self._plan.shuffle,
            "fingerprint": self._fingerprint,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a place in the data; nothing before it is read again.

        Args:
            state_dict: What ``state_dict`` returned.

        Raises:
            ResumeError: If the state is of other data, or of another order of them.
        """
        mine = self.state_dict()
        for key in ("version", "fingerprint", "seed", "shuffle", "batch_size"):
            if state_dict.get(key) != mine[key]:
                raise ResumeError(
                    f"Expected a state with the {key} of this loader, but they differ.\n"
                    f"state: {state_dict.get(key)}\nloader: {mine[key]}\n"
                    "Go on with the data and the arguments that the state was made with."
                )
        num_batches = min(-(-int(state_dict["rows"]) // self._plan.batch_size), len(self))
        self._go_to(int(state_dict["epoch"]), num_batches)
        self._resume_at = num_batches % len(self)


class _EpochSampler(SequentialSampler):
    """Passes the epoch on; Lightning replaces samplers that are not sequential when overfitting."""

    def __init__(self, loader: BatchLoader) -> None:
        super().__init__(range(loader.plan.num_rows))
        self._loader = loader

    def set_epoch(self, epoch: int) -> None:
        self._loader.set_epoch(epoch)

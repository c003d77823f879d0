"""A loader that hands out the batches of a plan, and knows its place in it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler, SequentialSampler

from leyden.data.gather import SetNumbers, ShardStore
from leyden.data.origin import BatchOrigin
from leyden.data.plan import EpochPlan
from leyden.errors import ResumeError
from leyden.types import Array, Rows

__all__ = ["Batch", "BatchLoader", "Progress"]

Batch: TypeAlias = Tensor | tuple[Tensor, Tensor]
"""Inputs ``(batch, ...)``, with labels ``(batch, ...)`` if there are any."""

Prepare: TypeAlias = Callable[[Array, SetNumbers, Rows, int], Tensor]
"""Makes what a model is given of inputs, their set numbers and rows, and the epoch."""

_STATE_VERSION = 1
_BLOCK_BYTES = 1 << 20  # a block of batches fits the cache of a core


class PlanMaker(Protocol):
    """Gives the plan of an epoch."""

    def __call__(
        self, epoch: int, *, shuffle: str | None = None, begin: tuple[int, int] = (0, 0)
    ) -> EpochPlan:
        """Make a plan.

        Args:
            epoch: Which epoch, from zero.
            shuffle: Another shuffle than usual.
            begin: Position and index of the first batch, where the epoch was begun otherwise.
        """
        ...


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


def _as_they_are(inputs: Array, _numbers: SetNumbers, _rows: Rows, _epoch: int) -> Tensor:
    """Hand inputs on."""
    return torch.from_numpy(inputs)


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
        prepare: Makes what a model is given of inputs ``(rows, ...)``, the set number and the row
            of each, and the epoch.
        on_batch: Called with the loader whenever it hands out a batch.
    """

    def __init__(
        self,
        store: ShardStore,
        make_plan: PlanMaker,
        *,
        fingerprint: str,
        every_epoch_alike: bool = False,
        prepare: Prepare = _as_they_are,
        on_batch: Callable[["BatchLoader"], None] = _ignore,
    ) -> None:
        self._store, self._make_plan, self._fingerprint = store, make_plan, fingerprint
        self._every_epoch_alike, self._on_batch = every_epoch_alike, on_batch
        self._prepare = prepare
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
        self._store.check()  # before the first row, rather than when a broken shard's turn comes
        plan = self._plan
        for first in range(start, len(plan), self._block_size):
            stop = min(first + self._block_size, len(plan))
            for batch_index, batch in enumerate(self._read_block(plan, first, stop), start=first):
                self._done = batch_index + 1
                self._on_batch(self)
                yield batch

    @property
    def _block_size(self) -> int:
        """How many batches are read at once; they are views of one array."""
        return max(1, _BLOCK_BYTES // (self._plan.batch_size * self._store.row_bytes))

    def _read_block(self, plan: EpochPlan, first: int, stop: int) -> Iterator[Batch]:
        visits, rows, sizes = plan.block(first, stop)
        inputs, labels = self._read(plan.order.visited_sets[visits], rows, plan.epoch)
        batches = torch.split_with_sizes(inputs, sizes)
        if labels is None:
            return iter(batches)
        return zip(batches, torch.split_with_sizes(labels, sizes), strict=True)

    def fetch(self, origin: BatchOrigin) -> Batch:
        """Read the rows of a batch.

        Args:
            origin: Which rows.

        Returns:
            Inputs, and labels if there are any.

        Raises:
            ShardError: If a shard is missing or broken.
        """
        numbers = np.repeat(origin.set_numbers, [len(piece.rows) for piece in origin.slices])
        rows = np.concatenate([piece.rows for piece in origin.slices])
        inputs, labels = self._read(numbers, rows, origin.epoch)
        return inputs if labels is None else (inputs, labels)

    def _read(
        self, set_numbers: SetNumbers, rows: Rows, epoch: int
    ) -> tuple[Tensor, Tensor | None]:
        inputs = self._prepare(self._store.inputs(set_numbers, rows), set_numbers, rows, epoch)
        if not self._store.has_labels:
            return inputs, None
        return inputs, torch.from_numpy(self._store.labels(set_numbers, rows))

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
        if epoch != self._plan.epoch or num_batches < self._plan.grid.first_batch:
            self._plan = self._make_plan(epoch)
        self._done, self._clock = num_batches, (time.perf_counter(), num_batches)

    def renew(self) -> None:
        """Make the plan of the current epoch anew; only before its first batch."""
        self._plan = self._make_plan(self._plan.epoch)

    @property
    def plan(self) -> EpochPlan:
        """The plan of the current epoch."""
        return self._plan

    @property
    def progress(self) -> Progress:
        """How far the current epoch has come."""
        began, start = self._clock
        rows = self._plan.grid.rows_before(self._done)
        seconds = time.perf_counter() - began
        speed = (rows - self._plan.grid.rows_before(start)) / seconds if seconds > 0 else 0.0
        return Progress(self._plan.epoch, self._done, rows, speed)

    def state_dict(self) -> dict[str, Any]:
        """Write down the place in the data: a few numbers, the same on every rank."""
        plan, is_over = self._plan, self._done == len(self._plan)
        return {
            "version": _STATE_VERSION,
            "epoch": plan.epoch,
            "rows": plan.order.num_rows if is_over else plan.grid.rows_before(self._done),
            "batches": self._done,
            "seed": plan.seed,
            "shuffle": plan.shuffle,
            "fingerprint": self._fingerprint,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a place in the data; nothing before it is read again.

        The batch size and the number of ranks may be others than those the state was made with:
        the epoch goes on with the next row that no rank has had.

        Args:
            state_dict: What ``state_dict`` returned.

        Raises:
            ResumeError: If the state is of other data, or of another order of them.
        """
        self._check(state_dict)
        epoch, rows, batches = (int(state_dict[key]) for key in ("epoch", "rows", "batches"))
        plan = self._make_plan(epoch, shuffle=state_dict["shuffle"])
        if plan.order.num_rows - rows < plan.grid.least:
            batches = len(plan)
        elif batches >= len(plan) or rows != plan.grid.rows_before(batches):
            plan = self._make_plan(epoch, shuffle=state_dict["shuffle"], begin=(rows, batches))
        self._plan = plan
        self._go_to(epoch, batches)
        self._resume_at = batches % len(plan)

    def _check(self, state_dict: dict[str, Any]) -> None:
        mine = self.state_dict()
        # An epoch that was begun in blocks of one size is finished in them.
        both_blocks = all(
            str(state.get("shuffle")).startswith("blocks:") for state in (state_dict, mine)
        )
        keys = ("version", "fingerprint", "seed", *(() if both_blocks else ("shuffle",)))
        for key in keys:
            if state_dict.get(key) != mine[key]:
                raise ResumeError(
                    f"Expected a state with the {key} of this loader, but they differ.\n"
                    f"state: {state_dict.get(key)}\nloader: {mine[key]}\n"
                    "Go on with the data and the arguments that the state was made with."
                )


class _EpochSampler(SequentialSampler):
    """Passes the epoch on; Lightning replaces samplers that are not sequential when overfitting."""

    def __init__(self, loader: BatchLoader) -> None:
        super().__init__(range(loader.plan.num_rows))
        self._loader = loader

    def set_epoch(self, epoch: int) -> None:
        self._loader.set_epoch(epoch)

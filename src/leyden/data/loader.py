"""A loader that hands out the batches of a plan, and knows its place in it."""

import re
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import islice, product
from typing import Any, Protocol
from weakref import finalize

from torch.utils.data import Sampler, SequentialSampler

from leyden.data.assembly import Assembler, Batch, Block, Job
from leyden.data.cut import WindowCut
from leyden.data.gather import ShardStore
from leyden.data.origin import BatchOrigin, rows_of
from leyden.data.picks import Picks
from leyden.data.plan import Begin, EpochPlan
from leyden.data.progress import Progress
from leyden.data.states import PLACE_VERSION, check_mapping, check_place, check_within
from leyden.data.workers import BlockMaker, Workers
from leyden.errors import ResumeError

__all__ = ["Batch", "BatchLoader"]

_BLOCKS = re.compile(r"blocks:[1-9]\d*")
_BLOCK_BYTES = 5 << 20  # what a block costs is spread over its batches; it still fits the cache
_PLANNED_ROWS = 16384  # worked out at a time: their sets are opened before the first of them
_PLANNED_BYTES = 128 << 20  # likewise, at most
_OPEN_ROWS = 65536  # worked out at a time where all sets are open already
_AHEAD_BYTES = 64 << 20  # read before they are needed


class PlanMaker(Protocol):
    """Gives the plan of an epoch."""

    def __call__(
        self, epoch: int, *, shuffle: str | None = None, begin: Begin | None = None
    ) -> EpochPlan:
        """Make a plan.

        Args:
            epoch: Which epoch, from zero.
            shuffle: Another shuffle than usual.
            begin: Where the epoch goes on, if it was begun otherwise.
        """
        ...


def _ignore(_loader: "BatchLoader") -> None:
    """Do nothing about a batch."""


class BatchLoader:
    """The batches of one phase, epoch after epoch; ``lightning.Trainer`` takes it as it is.

    Iterating is lazy: nothing is read or counted before the first batch is asked for, so
    that a state that is loaded, or an epoch that is set, after ``iter`` still counts.

    Args:
        assembler: Makes blocks of batches.
        make_plan: Gives the plan of an epoch.
        fingerprint: Digest of the data, kept in the state.
        every_epoch_alike: Whether going through the data again is no new epoch, as for validation.
        cut: Cuts windows of time out of batches; ``None`` to hand them out whole.
        make_blocks: Has the assembler make blocks elsewhere, in the same order.
        on_batch: Called with the loader whenever it hands out a batch.
        on_end: Called with the loader when it hands out the last batch of an epoch.

    Attributes:
        plan: The current epoch.
    """

    def __init__(
        self,
        assembler: Assembler,
        make_plan: PlanMaker,
        *,
        fingerprint: str,
        every_epoch_alike: bool = False,
        cut: WindowCut | None = None,
        make_blocks: BlockMaker | None = None,
        on_batch: Callable[["BatchLoader"], None] = _ignore,
        on_end: Callable[["BatchLoader"], None] = _ignore,
    ) -> None:
        self._assembler, self._make_plan, self._fingerprint = assembler, make_plan, fingerprint
        self._store, self._cut = assembler.store, cut
        self._make_blocks = make_blocks or assembler.all_blocks
        self._end_workers_in_time()
        self._every_epoch_alike, self._on_batch, self._on_end = every_epoch_alike, on_batch, on_end
        self.plan = make_plan(0)
        self._done = 0  # batches handed out in this epoch
        self._resume_at = 0  # batches to skip when the epoch is next begun
        self._left_out: int | None = None  # epoch of which no batch is to come
        self._told_length = 0  # of the epoch when somebody first asked
        self._clock = (time.perf_counter(), 0)  # when this process began the epoch, and where
        self._now = self._clock[0]  # when it handed out the last batch
        self._latest: Progress | None = None  # as of the last batch of another pass

    def _end_workers_in_time(self) -> None:
        if isinstance(self._make_blocks, Workers):  # which do not end well with the garbage
            finalize(self, self._make_blocks.close)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin as a copy, which goes on at the place of its original."""
        self.__dict__.update(state)
        self._end_workers_in_time()
        self._go_to(self.plan.epoch, self._done)  # by the clock of this process
        self._resume_at = self._done % len(self.plan)

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        self._told_length = self._told_length or len(self.plan)
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        """Begin an epoch, or go on with the one that a loaded state was in."""
        return self._batches()

    def _batches(self) -> Iterator[Batch]:
        start, self._resume_at = self._resume_at, 0
        if self._left_out == self.plan.epoch:
            start, self._left_out = len(self.plan), None
        is_over = start == 0 and self.is_at_end and not self._every_epoch_alike
        self._go_to(self.plan.epoch + is_over, start)
        self._store.check()  # before the first row, rather than when a broken shard's turn comes
        plan, num_batches = self.plan, len(self.plan)
        first, skipped = divmod(start, plan.windows)
        done = start  # in this pass, which may not be the only one
        sizes: list[list[int]] = []  # of the blocks that are being made
        # A preprocessor may give a row another last bit among other rows: each batch by itself.
        most = 1 if self._assembler.prepares else _BLOCK_BYTES
        blocks = self._make_blocks(_jobs(self._store, plan, first, sizes, most))
        for block in blocks:
            for batch in self._cut_up(block, plan, sizes.pop(0), skipped):
                self._now = time.perf_counter()
                if self._now > self._store.next_check:
                    self._store.check()
                done += 1
                if self.plan is plan:  # else another pass has begun another epoch
                    self._done = done
                self._on_batch(self)
                if done == num_batches:
                    next(blocks, None)  # so that workers are free for the next epoch
                    self._on_end(self)
                yield batch
            skipped = 0

    def _cut_up(
        self, block: Block, plan: EpochPlan, sizes: list[int], skipped: int
    ) -> Iterator[Batch]:
        """Cut a block into batches, and these into windows, of which some may be left out."""
        if self._cut is None:
            return block.batches(sizes)
        cut = self._cut
        pairs = product(block.split(sizes), range(plan.windows))
        return (
            cut(batch, plan.epoch, window).as_batch()
            for batch, window in islice(pairs, skipped, None)
        )

    def fetch(self, origin: BatchOrigin) -> Batch:
        """Read the rows of a batch.

        Args:
            origin: Which rows.

        Returns:
            The batch, as this loader hands it out.

        Raises:
            ShardError: If a shard is missing or broken.
        """
        numbers, rows = rows_of(origin.slices)
        block = self._assembler(Job(Picks.of(numbers, rows), origin.epoch)).aligned()
        if self._cut is not None:
            block = self._cut(block, origin.epoch, origin.window.index if origin.window else 0)
        return block.as_batch()

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
        if epoch != self.plan.epoch:
            if 0 < self._told_length == self._done < len(self.plan):
                _warn_of_the_rest(self.plan, self._done)
            self._go_to(epoch, 0)
            self._resume_at = 0

    def _go_to(self, epoch: int, num_batches: int) -> None:
        self._latest = self.latest
        if epoch != self.plan.epoch or num_batches < self.plan.first_known:
            self.plan = self._make_plan(epoch)
        self._now = time.perf_counter()
        self._done, self._clock = num_batches, (self._now, num_batches)

    def skip_rest(self) -> None:
        """Leave the rest of the epoch out: a pass in it is empty, whatever state is loaded."""
        self._left_out = self.plan.epoch

    def close(self) -> None:
        """End the worker processes, if there are any; the next epoch has new ones."""
        if isinstance(self._make_blocks, Workers):
            self._make_blocks.close()

    def renew(self) -> None:
        """Make the plan of the current epoch anew; only before its first batch."""
        self.plan = self._make_plan(self.plan.epoch)

    @property
    def progress(self) -> Progress:
        """How far the current epoch has come."""
        began, first = self._clock
        return Progress(self.plan, self._done, first, began, self._now)

    @property
    def latest(self) -> Progress | None:
        """How far things had come with the last batch handed out; ``None`` before the first."""
        has_begun = self._done > self._clock[1]
        return self.progress if has_begun else self._latest

    @property
    def is_at_end(self) -> bool:
        """Whether the last batch of the current epoch was handed out."""
        return self._done == len(self.plan)

    def state_dict(self) -> dict[str, Any]:
        """Write down the place in the data: a few numbers, the same on every rank."""
        plan = self.plan
        batches, window = divmod(self._done, plan.windows)
        rows = plan.order.num_rows if self.is_at_end else plan.grid.rows_before(batches)
        schedule = plan.order.schedule
        return {
            "version": PLACE_VERSION,
            "epoch": plan.epoch,
            "rows": rows,
            "batches": batches,
            "window": window,  # of the batch that comes next
            "windows": plan.windows,
            "step_rows": plan.grid.rows_before(batches + 1) - rows if window else 0,
            "seed": plan.seed,
            "shuffle": plan.shuffle,
            "fingerprint": self._fingerprint,
            **({} if schedule is None else {"sets": schedule}),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a place in the data; nothing before it is read again.

        The batch size and the number of ranks may be others than those the state was made with:
        the epoch goes on with the next row that no rank has had.

        Args:
            state_dict: What ``state_dict`` returned.

        Raises:
            ResumeError: If the state is of other data, or of another order of them, or of no place
                that there is. The loader stays where it is.
        """
        self._check(state_dict)
        keys = ("epoch", "rows", "batches", "window", "step_rows")
        epoch, rows, batches, window, step_rows = (int(state_dict[key]) for key in keys)
        plan = self._make_plan(epoch, shuffle=state_dict["shuffle"])
        _same("windows", state_dict["windows"], plan.windows)
        _same("sets", state_dict.get("sets"), plan.order.schedule)
        check_within(state_dict, plan.order.num_rows)
        is_over = rows == plan.order.num_rows
        if is_over:
            batches = len(plan.grid)
        elif not _fits(plan, rows, batches, step_rows):
            begin = Begin(rows, batches, step_rows)
            plan = self._make_plan(epoch, shuffle=state_dict["shuffle"], begin=begin)
        self.plan = plan
        self._go_to(epoch, batches * plan.windows + window)
        # Where rows are left, but none that fill a batch, the pass that comes next is empty.
        self._resume_at = 0 if is_over else self._done

    def expect(self, fingerprint: str) -> None:
        """Make sure that this is the data that a checkpoint was written with.

        Args:
            fingerprint: Digest of that data.

        Raises:
            ResumeError: If it is not.
        """
        _same("fingerprint", fingerprint, self._fingerprint)

    def _check(self, state_dict: dict[str, Any]) -> None:
        check_mapping(state_dict)
        mine = self.state_dict()
        # An epoch that was begun in blocks of one size is finished in them.
        both_blocks = all(
            _BLOCKS.fullmatch(str(state.get("shuffle"))) for state in (state_dict, mine)
        )
        keys = ("version", "fingerprint", "seed", *(() if both_blocks else ("shuffle",)))
        for key in keys:
            _same(key, state_dict.get(key), mine[key])
        check_place(state_dict)


def _jobs(
    store: ShardStore, plan: EpochPlan, first: int, sizes: list[list[int]], block_bytes: int
) -> Iterator[Job]:
    """Work out the blocks of an epoch, many at a time, and note the sizes of each one's batches."""
    num_batches, batch_bytes = len(plan.grid), plan.batch_size * store.row_bytes
    asked = plan.order.visits_before(plan.grid.rows_before(first))
    at_once = max(1, block_bytes // batch_bytes)
    is_open = store.is_open
    most = (
        _OPEN_ROWS // plan.batch_size
        if is_open
        else min(_PLANNED_ROWS // plan.batch_size, _PLANNED_BYTES // batch_bytes)
    )
    planned = max(1, most // at_once) * at_once
    for start in range(first, num_batches, planned):
        stop = min(start + planned, num_batches)
        picks, rows = plan.block(start, stop)
        if not is_open:
            asked = _read_ahead(store, plan, plan.grid.rows_before(stop), asked)
        batches = [rows[begin : begin + at_once] for begin in range(0, len(rows), at_once)]
        sizes.extend(batches)
        yield Job(picks, plan.epoch, [sum(block) for block in batches])


def _read_ahead(store: ShardStore, plan: EpochPlan, position: int, asked: int) -> int:
    """Have the sets read whose turn comes soon; count those that were asked for."""
    soon = position + _AHEAD_BYTES // store.row_bytes
    stop = plan.order.visits_until(min(soon, plan.num_rows))
    if stop > asked:
        store.read_ahead(plan.order.visited_sets[asked:stop].tolist())
    return stop


def _fits(plan: EpochPlan, rows: int, batches: int, step_rows: int) -> bool:
    """Say whether a place is where a batch of a plan begins."""
    if batches >= len(plan.grid) or rows != plan.grid.rows_before(batches):
        return False
    return step_rows in (0, plan.grid.rows_before(batches + 1) - rows)


def _warn_of_the_rest(plan: EpochPlan, num_batches: int) -> None:
    problem = f"Expected the {len(plan)} batches of epoch {plan.epoch} to be taken"
    problem = f"{problem}, but got {num_batches}, as many as an epoch before it had."
    remedy = "Pass the data module to the trainer, which then asks for every length."
    warnings.warn(f"{problem} {remedy}", stacklevel=4)


def _same(key: str, state: object, loader: object) -> None:
    if state != loader:
        raise ResumeError(
            f"Expected a state with the {key} of this loader, but they differ.\n"
            f"state: {state}\nloader: {loader}\n"
            "Go on with the data and the arguments that the state was made with."
        )


class _EpochSampler(SequentialSampler):
    """Passes the epoch on; Lightning replaces samplers that are not sequential when overfitting."""

    def __init__(self, loader: BatchLoader) -> None:
        super().__init__(range(loader.plan.num_rows))
        self._loader = loader

    def set_epoch(self, epoch: int) -> None:
        self._loader.set_epoch(epoch)

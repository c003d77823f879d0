"""Worker processes that make blocks, for preprocessing that takes long."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, TypeAlias

import torch
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from leyden.data.assembly import Assembler, Block, Job
from leyden.errors import LeydenError

__all__ = ["BlockMaker", "Workers", "make_blocks"]

BlockMaker: TypeAlias = Callable[[Iterable[Job]], Iterator[Block]]
"""Makes blocks, in the order in which they are asked for."""


def make_blocks(
    assembler: Assembler, *, num_workers: int = 0, persistent: bool = True, pin_memory: bool = False
) -> BlockMaker:
    """Choose where blocks are made: in this process, or in others.

    Args:
        assembler: Makes a block.
        num_workers: How many processes; 0 for this one.
        persistent: Whether processes live on from one epoch to the next.
        pin_memory: Whether blocks are put where they go to a GPU from faster, if there is one.

    Returns:
        Makes blocks, in the order in which they are asked for.
    """
    pins = pin_memory and torch.cuda.is_available()
    if num_workers:
        return Workers(assembler, num_workers, persistent=persistent, pin_memory=pins)
    if pins:
        return partial(_pinned_blocks, assembler)
    return assembler.all_blocks


def _pinned_blocks(assembler: Assembler, jobs: Iterable[Job]) -> Iterator[Block]:
    return (block.pin() for job in jobs for block in assembler.blocks(job))


@dataclass(frozen=True, slots=True)
class _Failure:
    """What was raised in a worker; torch would raise a bare one where it keeps the workers."""

    error: ExceptionWrapper

    def reraise(self) -> NoReturn:
        """Raise it here, with its traceback in the message."""
        self.error.reraise()  # type: ignore[no-untyped-call] # torch's
        raise AssertionError


_Made: TypeAlias = Block | LeydenError | _Failure


class Workers:
    """Makes blocks in worker processes, in the order in which they are asked for.

    Which rows are in a block is decided here and sent to the workers, so that neither their number
    nor how far ahead they are has any influence on the batches. A copy, also one in another
    process, begins with none.

    Args:
        assembler: Makes a block.
        num_workers: How many processes.
        persistent: Whether they live on from one epoch to the next.
        pin_memory: Whether blocks are copied to memory from which they go to a GPU faster.
    """

    def __init__(
        self, assembler: Assembler, num_workers: int, *, persistent: bool, pin_memory: bool
    ) -> None:
        self._arguments = (assembler, num_workers, persistent, pin_memory)
        # Forked processes share what is in memory already: preloaded sets, and fitted objects.
        forks = "fork" in multiprocessing.get_all_start_methods()
        self._make_loader: Callable[..., DataLoader[_Made]] = partial(
            DataLoader,
            _Blocks(assembler),
            batch_size=None,
            num_workers=num_workers,
            persistent_workers=persistent,
            pin_memory=pin_memory,
            collate_fn=_as_it_is,
            multiprocessing_context="fork" if forks else None,
            generator=torch.Generator(),  # else it would draw from the one of the training
        )
        self._jobs = _Jobs()
        self._loader: DataLoader[_Made] | None = None

    @override
    def __reduce__(self) -> tuple[Callable[..., "Workers"], tuple[object, ...]]:
        return _new_workers, self._arguments

    def __call__(self, jobs: Iterable[Job]) -> Iterator[Block]:
        """Make blocks; a few of them ahead of time.

        Processes that live on make one pass after another; a pass that begins while another has not
        ended has some of its own.

        Args:
            jobs: Which ones, in order.

        Raises:
            LeydenError: What a worker raised, as if it had been raised here.
        """
        if self._loader is None or self._jobs.are is not None:
            self._jobs = _Jobs()
            self._loader = self._make_loader(sampler=self._jobs)
        mine = self._jobs
        mine.are = jobs
        try:
            # Where another pass has a loader of its own by then, the processes end with this one.
            yield from map(_or_raise, self._loader)
        except Exception:
            if self._jobs is mine:
                self.close()
            raise
        finally:
            mine.are = None

    def close(self) -> None:
        """End the processes; the next blocks are made by new ones."""
        self._loader = None


def _new_workers(
    assembler: Assembler, num_workers: int, persistent: bool, pin_memory: bool
) -> Workers:
    return Workers(assembler, num_workers, persistent=persistent, pin_memory=pin_memory)


class _Jobs:
    """The jobs of the moment, where a loader takes the rows of a sampler.

    Attributes:
        are: The jobs; ``None`` while there is no pass.
    """

    def __init__(self) -> None:
        self.are: Iterable[Job] | None = None

    def __iter__(self) -> Iterator[Job]:
        return (
            Job(picks.compact(), job.epoch)  # lest a worker opens the sets of all blocks
            for job in self.are or ()
            for picks in job.picks.split(job.all_sizes)
        )


class _Blocks(Dataset[_Made]):
    """Makes a block of a job, where a loader takes a row of an index."""

    def __init__(self, assembler: Assembler) -> None:
        self._assembler = assembler

    @override
    def __getitem__(self, job: Any) -> _Made:
        try:
            return self._assembler(job)
        except LeydenError as error:  # raised where it is used, with all that it knows
            return error
        except Exception:  # noqa: BLE001 - likewise
            return _Failure(ExceptionWrapper(where="in a worker process"))  # type: ignore[no-untyped-call] # torch's


def _or_raise(made: _Made) -> Block:
    if isinstance(made, LeydenError):
        raise made
    if isinstance(made, _Failure):
        made.reraise()
    return made


def _as_it_is(made: Any) -> Any:
    return made

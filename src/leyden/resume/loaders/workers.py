"""What worker processes do beside loading: say whether they drew random numbers, and which."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_map_only
from torch.utils.data import get_worker_info
from torch.utils.data._utils.pin_memory import pin_memory

from leyden.generators import (
    Generator,
    find_generators,
    generator_states,
    global_state,
    restore_generators,
    restore_global_state,
)

__all__ = ["Report", "ReportingCollate", "StartingAt"]


@dataclass
class Report:
    """A batch, and where its worker's generators stand after it.

    Attributes:
        batch: What the loader's own ``collate_fn`` made.
        worker: Number of the worker.
        state: Where its generators stand, or None if they have not moved since the last batch.
    """

    batch: Any
    worker: int
    state: Any

    def pin_memory(self, *args: Any) -> "Report":
        """Do for the batch what torch does for every batch of a loader that pins memory."""
        pinned = pin_memory(self.batch, *args)  # type: ignore[no-untyped-call] # torch has no types here
        return Report(pinned, self.worker, self.state)


class ReportingCollate:
    """A loader's ``collate_fn``, reporting where the generators stand after each batch.

    Args:
        collate: The loader's own.
    """

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate = collate
        self._generators: list[Generator] | None = None
        self._last: Any = None

    def __call__(self, rows: Any) -> Any:
        """Make a batch.

        Args:
            rows: What the dataset returned.

        Returns:
            A `Report` in a worker, the bare batch elsewhere.
        """
        batch = self.collate(rows)
        info = get_worker_info()
        if info is None:
            return batch
        if self._generators is None:
            self._generators = find_generators((info.dataset, self.collate))
        state = _state(self._generators)
        moved = state != (self._last or _begun["state"])
        self._last = state
        return Report(batch, info.id, state if moved else None)


class StartingAt:
    """A loader's ``worker_init_fn``, putting a worker's generators where they stood.

    Args:
        init: The loader's own, if it has one.
        states: What the workers' last reports said, by worker; empty for workers that begin anew.
        collate: The loader's ``collate_fn``, which may hold generators.
    """

    def __init__(
        self,
        init: Callable[[int], None] | None,
        states: Mapping[int, Any],
        collate: Callable[[Any], Any] | None = None,
    ) -> None:
        self.init, self.states, self.collate = init, dict(states), collate

    def __call__(self, worker: int) -> None:
        """Prepare a worker process.

        Args:
            worker: Its number.
        """
        _outlast_signals()
        if self.init is not None:
            self.init(worker)
        info = get_worker_info()
        generators = [] if info is None else find_generators((info.dataset, self.collate))
        if worker in self.states:
            _restore(self.states[worker], generators)
        _begun["state"] = _state(generators)


def _outlast_signals() -> None:
    """Let a signal to the whole group end this process only after the one that it works for.

    That one finishes its step, for which it needs batches, and then ends its workers. SIGTERM is
    obeyed after a while, as it is also the last resort of a parent that waits for its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.setitimer(signal.ITIMER_REAL, _GRACE))


_GRACE = 60.0  # seconds; the timer's signal then ends the process
_begun: dict[str, Any] = {}  # of this worker process: where its generators stood at the start


def _state(generators: list[Generator]) -> dict[str, Any]:
    """As bytes and numbers: tensors would travel through shared memory, which takes longer."""
    states = {**global_state(devices=False), "own": generator_states(generators)}
    written: dict[str, Any] = tree_map_only(
        torch.Tensor, lambda state: state.numpy().tobytes(), states
    )
    return written


def _restore(state: dict[str, Any], generators: list[Generator]) -> None:
    def tensor(state: bytes) -> torch.Tensor:
        return torch.frombuffer(bytearray(state), dtype=torch.uint8)

    states = tree_map_only(bytes, tensor, state)
    restore_global_state(states)
    restore_generators(generators, states["own"])

"""How the batches of a loader are drawn from any place on: by state, by index, by replay."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, Protocol, TypeAlias, TypeGuard, get_args, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from leyden.errors import ConfigError
from leyden.generators import Stream
from leyden.resume.loaders.samplers import SkippingSampler, draws_at_once
from leyden.resume.loaders.workers import ReportingCollate, StartingAt

__all__ = [
    "ByIndex",
    "ByReplay",
    "ByState",
    "FastForward",
    "Way",
    "check_fast_forward",
    "choose_way",
]

FastForward: TypeAlias = Literal["auto", "index", "replay"]
"""How a loader without state gets back to its place."""


@runtime_checkable
class _HasState(Protocol):
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


class ByState:
    """A loader that says itself how far it has come.

    Args:
        loader: It has ``state_dict`` and ``load_state_dict``.
    """

    born = None

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def open(self, _workers: Mapping[int, Any]) -> Iterator[Any]:
        """Begin a pass."""
        return iter(self.loader)

    def go_to(self, state: dict[str, Any]) -> None:
        """Have the next pass go on from a state of the loader."""
        self.loader.load_state_dict(state)

    def close(self) -> None:
        """Nothing was started here."""


class ByIndex:
    """A torch ``DataLoader`` of a map-style dataset: the sampler skips, the rows are not read.

    Args:
        loader: It goes through its batches as torch's own class does.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader
        self.born: Tensor | None = None  # where workers that persist got their seed from
        self._inner = copy.copy(loader)
        self._name = "sampler" if loader.batch_sampler is None else "batch_sampler"
        self._sampler = SkippingSampler(getattr(loader, self._name))
        self._at_once = draws_at_once(self._sampler.sampler)

    def open(self, workers: Mapping[int, Any], skipped: int = 0) -> Iterator[Any]:
        """Begin a pass, or go on with one after ``skipped`` batches."""
        self._sampler.begin(skipped, None if self._at_once else Stream(_seed()))
        _equip(self._inner, self.loader, workers)
        vars(self._inner)[self._name] = self._sampler  # DataLoader refuses to have it set
        batches = _start(self, self._inner)
        self._sampler.draw()
        return batches

    def close(self) -> None:
        """End worker processes that persist."""
        _end_workers(self._inner)


class ByReplay:
    """Any loader: the batches before are drawn once more.

    What is drawn in this process has random generators of its own, so that it does not depend on
    what the training draws between two batches.

    Args:
        loader: Any iterable.
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader = loader
        self.born: Tensor | None = None  # where workers that persist got their seed from
        self._inner = copy.copy(loader) if is_plain(loader) else loader

    def open(self, workers: Mapping[int, Any]) -> Iterator[Any]:
        """Begin a pass."""
        if is_plain(self._inner):
            _equip(self._inner, self.loader, workers)
            if self._inner.num_workers:
                return _start(self, self._inner)
        return _within(Stream(_seed()), lambda: iter(self._inner))

    def close(self) -> None:
        """End worker processes that persist."""
        _end_workers(self._inner)


Way: TypeAlias = ByState | ByIndex | ByReplay


def check_fast_forward(fast_forward: str) -> None:
    """Refuse a way that there is not.

    Args:
        fast_forward: What a user asked for.

    Raises:
        ConfigError: If it is not known.
    """
    if fast_forward not in get_args(FastForward):
        raise ConfigError(
            f"Expected `fast_forward` to be 'auto', 'index' or 'replay', but got {fast_forward!r}."
        )


def choose_way(loader: Iterable[Any], fast_forward: FastForward) -> Way:
    """Choose how to get back to a place in a loader.

    Args:
        loader: What the user made.
        fast_forward: ``auto`` for the cheapest way that is exact.

    Raises:
        ConfigError: If ``fast_forward`` is ``index`` and the loader has no indices to skip.
    """
    check_fast_forward(fast_forward)
    # What is derived from torch's class says nothing of the generators in its state.
    says_all = isinstance(loader, _HasState) and not isinstance(loader, DataLoader)
    if says_all and fast_forward != "replay":
        return ByState(loader)
    if is_plain(loader) and not isinstance(loader.dataset, IterableDataset):
        drawn_here = fast_forward == "replay" and not loader.num_workers
        return ByReplay(loader) if drawn_here else ByIndex(loader)
    if fast_forward == "index":
        raise ConfigError(
            "Expected a DataLoader of a map-style dataset for `fast_forward='index'`, but got "
            f"{type(loader).__name__}, which has no indices to skip. Pass `fast_forward='auto'`."
        )
    return ByReplay(loader)


def is_plain(loader: object) -> TypeGuard[DataLoader[Any]]:
    """Whether a loader goes through its batches as torch's own class does."""
    return isinstance(loader, DataLoader) and type(loader).__iter__ is DataLoader.__iter__


def _equip(inner: DataLoader[Any], loader: Any, workers: Mapping[int, Any]) -> None:
    """Bring what was set on the loader over; have workers report where their generators stand."""
    vars(inner).update({name: vars(loader)[name] for name in vars(loader) if name != "_iterator"})
    if loader.num_workers:
        inner.collate_fn = ReportingCollate(loader.collate_fn)
        inner.worker_init_fn = StartingAt(loader.worker_init_fn, workers, loader.collate_fn)


def _start(way: "ByIndex | ByReplay", inner: DataLoader[Any]) -> Iterator[Any]:
    """Begin a pass; workers that persist get their seed once, also when they are started anew."""
    if inner.persistent_workers:
        if way.born is None:
            way.born = (inner.generator or torch.default_generator).get_state()
        else:
            inner.generator = torch.Generator()
            inner.generator.set_state(way.born)
    return iter(inner)


def _end_workers(loader: object) -> None:
    """Let go of the iterator that torch keeps for persistent workers; they end with it."""
    if isinstance(loader, DataLoader) and loader.persistent_workers:
        vars(loader)["_iterator"] = None


def _seed() -> int:
    return int(torch.empty((), dtype=torch.int64).random_().item())


def _within(stream: Stream, begin: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    with stream.use():
        batches = begin()
    while True:
        with stream.use():
            try:
                batch = next(batches)
            except StopIteration:
                return
        yield batch

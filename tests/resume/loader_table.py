"""Loaders of every make, with what they draw from, for the tests of their followers."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    get_worker_info,
)
from typing_extensions import override

from leyden.data import AutoDataModule
from leyden.shards import write_shards

ALL = ("torch", "numpy", "random", "own")


class Rows(Dataset[Tensor]):
    """Rows of which each holds its number, and a draw from each of some generators."""

    def __init__(self, length: int, *draws: str) -> None:
        self.length, self.draws = length, draws
        self.own = np.random.Generator(np.random.Philox(7))

    def __len__(self) -> int:
        return self.length

    @override
    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor([float(index), *(self.draw(one) for one in self.draws)]).double()

    def draw(self, kind: str) -> float:
        draws: dict[str, Callable[[], float]] = {
            "torch": lambda: torch.rand(()).item(),
            "numpy": np.random.rand,
            "random": random.random,
            "own": self.own.random,
        }
        return draws[kind]()


class CountingRows(Rows):
    """Rows that hold how many were asked for before."""

    asked = 0

    @override
    def __getitem__(self, index: int) -> Tensor:
        self.asked += 1
        return super().__getitem__(index) + self.asked


class Stream(IterableDataset[Tensor]):
    """Rows one after another, shared among the workers."""

    def __init__(self, length: int, *draws: str) -> None:
        self.rows = Rows(length, *draws)

    @override
    def __iter__(self) -> Iterator[Tensor]:
        info = get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        return (self.rows[index] for index in range(first, self.rows.length, step))


class SizedStream(Stream):
    def __len__(self) -> int:
        return self.rows.length


class CountingSampler(Sampler[int]):
    """Goes by how often it was gone through, which it counts itself, and by what it did before."""

    def __init__(self, length: int) -> None:
        self.epoch, self._order = 0, list(range(length))

    @override
    def __iter__(self) -> Iterator[int]:
        self.epoch += 1
        random.Random(self.epoch).shuffle(self._order)
        yield from self._order

    def __len__(self) -> int:
        return len(self._order)


class LazySampler(Sampler[int]):
    """Draws each index when it is asked for it."""

    def __init__(self, length: int) -> None:
        self.length = length

    @override
    def __iter__(self) -> Iterator[int]:
        return (random.randrange(self.length) for _ in range(self.length))

    def __len__(self) -> int:
        return self.length


class Batches(Sampler[list[int]]):
    """Batches of random lengths, of which nobody knows how many there will be."""

    def __init__(self, length: int) -> None:
        self.length = length

    @override
    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(self.length).tolist()
        while order:
            size = random.randint(1, 3)
            yield order[:size]
            order = order[size:]


class Doubling(DataLoader[Any]):
    """Goes through its batches in a way of its own."""

    @override
    def __iter__(self) -> Any:
        return ((batch, random.random()) for batch in super().__iter__())


class Made:
    """An iterable of no known class, without a length."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __iter__(self) -> Iterator[Tensor]:
        for index in range(self.length):
            yield torch.tensor([index, random.random(), torch.rand(()).item()])


class Counting:
    """Says itself where it is, also between epochs; its order depends on the epoch alone."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.epoch, self.at, self.is_loaded = -1, 0, False

    def __iter__(self) -> Iterator[Tensor]:
        if not self.is_loaded:
            self.epoch, self.at = self.epoch + 1, 0
        self.is_loaded = False
        order = torch.randperm(self.length, generator=torch.Generator().manual_seed(self.epoch))
        while self.at < self.length:
            self.at += 1
            yield order[self.at - 1]

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "at": self.at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epoch, self.at = state_dict["epoch"], state_dict["at"]
        self.is_loaded = 0 < self.at < self.length


class SizedCounting(Counting):
    def __len__(self) -> int:
        return self.length


class Stateful:
    """Says itself where it is, and not where the global generators are that its rows draw from."""

    def __init__(self, length: int, *draws: str) -> None:
        self.rows, self.at, self.begin = Rows(length, *draws), 0, 0

    def __iter__(self) -> Iterator[Tensor]:
        self.at, self.begin = self.begin, 0
        while self.at < len(self.rows):
            self.at += 1
            yield self.rows[self.at - 1]

    def state_dict(self) -> dict[str, Any]:
        return {"at": self.at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.begin = state_dict["at"]


class StatefulRows(Stateful):
    def __len__(self) -> int:
        return len(self.rows)


class Mixing:
    """A ``collate_fn`` with a generator of its own."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(11)

    def __call__(self, rows: list[Tensor]) -> Tensor:
        return torch.stack(rows) * self.rng.random()


class Late(Rows):
    """Makes its generator when it first needs it, as what is forked to workers does."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.late: np.random.Generator | None = None

    @override
    def __getitem__(self, index: int) -> Tensor:
        if self.late is None:
            info = get_worker_info()
            self.late = np.random.default_rng(5 if info is None else info.id)
        return torch.tensor([float(index), self.late.random()]).double()


@dataclass(frozen=True)
class Case:
    """A loader, and what is known of it.

    Attributes:
        make: Makes it anew; the argument is a folder with files for it.
        ways: Of fast-forwarding that are exact.
        stops: Batches of an epoch after which to stop.
        is_sized: Whether Lightning knows its length, else it draws a batch ahead.
        passes: Through the loader in an epoch.
        between: Whether it can be stopped between two epochs, too.
        has_workers: Whether processes are started, which takes time.
        is_slow: Whether the case is left out by default.
    """

    make: Callable[[Path], Any]
    ways: tuple[str, ...] = ("auto", "replay", "index")
    stops: tuple[int, ...] = (0, 1, 4, 6)
    is_sized: bool = True
    passes: int = 1
    between: bool = True
    has_workers: bool = False
    is_slow: bool = False


_NO_INDEX = ("auto", "replay")


def _loader(dataset: Any, **options: Any) -> DataLoader[Any]:
    return DataLoader(dataset, **{"batch_size": 2, **options})


def _own() -> torch.Generator:
    return torch.Generator().manual_seed(31)


def _auto(folder: Path, **options: Any) -> Any:
    if not folder.exists():
        lengths = {1: 5, 2: 3, 7: 4}
        write_shards(folder, {key: np.arange(2.0 * n).reshape(n, 2) for key, n in lengths.items()})
    data = AutoDataModule(folder, batch_size=2, train=[1, 2, 7], **options)
    data.setup("fit")
    return data.train_dataloader()


CASES: dict[str, Case] = {
    "in order": Case(lambda _: _loader(Rows(12))),
    "shuffled": Case(lambda _: _loader(Rows(12, *ALL), shuffle=True)),
    "own generator": Case(lambda _: _loader(Rows(12, *ALL), shuffle=True, generator=_own())),
    "with replacement": Case(lambda _: _loader(Rows(12), sampler=_replacing(12))),
    "with replacement, chunks": Case(
        lambda _: _loader(Rows(80, "torch"), batch_size=8, sampler=_replacing(80)),
        stops=(3, 4, 5, 8, 10),
    ),
    "with replacement, global": Case(
        lambda _: _loader(
            Rows(80, "torch"),
            batch_size=8,
            sampler=RandomSampler(range(80), replacement=True),
        ),
        stops=(3, 4, 5, 10),
    ),
    "weighted": Case(
        lambda _: _loader(Rows(12, *ALL), sampler=WeightedRandomSampler(list(range(1, 13)), 12))
    ),
    "weighted, own generator": Case(
        lambda _: _loader(
            Rows(12),
            sampler=WeightedRandomSampler(list(range(1, 13)), 12, generator=_own()),
            num_workers=2,
        ),
        stops=(2, 5),
        has_workers=True,
        is_slow=True,
    ),
    "subset": Case(lambda _: _loader(Rows(24, *ALL), sampler=SubsetRandomSampler(range(3, 15)))),
    "distributed": Case(
        lambda _: _loader(
            Rows(24, *ALL), sampler=DistributedSampler(Rows(24), num_replicas=2, rank=1)
        )
    ),
    "counting sampler": Case(lambda _: _loader(Rows(12, *ALL), sampler=CountingSampler(12))),
    "counting sampler, 2 workers": Case(
        lambda _: _loader(Rows(12), sampler=CountingSampler(12), num_workers=2),
        stops=(2, 5),
        has_workers=True,
        is_slow=True,
    ),
    "counting dataset": Case(lambda _: _loader(CountingRows(12, *ALL), shuffle=True)),
    "lazy sampler": Case(lambda _: _loader(Rows(12, *ALL), sampler=LazySampler(12))),
    "lazy sampler in a batch sampler": Case(
        lambda _: DataLoader(
            Rows(12, *ALL), batch_sampler=BatchSampler(LazySampler(12), 2, drop_last=False)
        )
    ),
    "batches without a length": Case(
        lambda _: DataLoader(Rows(12), batch_sampler=Batches(12)), is_sized=False, stops=(0, 1, 4)
    ),
    "batches without a length, random rows": Case(
        lambda _: DataLoader(Rows(12, *ALL), batch_sampler=Batches(12)),
        is_sized=False,
        stops=(0, 1, 4),
    ),
    "rows one by one": Case(lambda _: _loader(Rows(7, *ALL), batch_size=None, shuffle=True)),
    "dropping the last": Case(
        lambda _: _loader(Rows(13, *ALL), drop_last=True, shuffle=True), stops=(3, 6)
    ),
    "collate with a generator": Case(
        lambda _: _loader(Rows(12), collate_fn=Mixing(), shuffle=True), stops=(0, 3)
    ),
    "own way through": Case(lambda _: Doubling(Rows(12, *ALL), 2, shuffle=True), ways=_NO_INDEX),
    "own way through, workers": Case(
        lambda _: Doubling(Rows(12, *ALL), 2, shuffle=True, num_workers=2),
        ways=_NO_INDEX,
        stops=(3,),
        has_workers=True,
    ),
    "stream": Case(lambda _: _loader(Stream(12, *ALL)), ways=_NO_INDEX, is_sized=False),
    "sized stream": Case(lambda _: _loader(SizedStream(12, *ALL)), ways=_NO_INDEX),
    "stream, workers": Case(
        lambda _: _loader(Stream(12, *ALL), num_workers=2),
        ways=_NO_INDEX,
        is_sized=False,
        stops=(0, 1, 4),
        has_workers=True,
    ),
    "sized stream, workers": Case(
        lambda _: _loader(SizedStream(12, *ALL), num_workers=2),
        ways=_NO_INDEX,
        stops=(3,),
        has_workers=True,
        is_slow=True,
    ),
    "list": Case(lambda _: [torch.tensor([index]) for index in range(7)], ways=_NO_INDEX),
    "made by an object": Case(lambda _: Made(7), ways=_NO_INDEX, is_sized=False),
    "state": Case(lambda _: SizedCounting(7), ways=("auto",), stops=(0, 1, 4, 6, 7)),
    "state without a length": Case(lambda _: Counting(7), ways=("auto",), is_sized=False),
    "state and random rows": Case(lambda _: StatefulRows(7, *ALL[:3]), ways=("auto",)),
    "state and random rows, no length": Case(
        lambda _: Stateful(7, *ALL[:3]), ways=("auto",), is_sized=False
    ),
    "sized, drawn ahead": Case(
        lambda _: _loader(Rows(12), shuffle=True, generator=_own()), is_sized=False, ways=("auto",)
    ),
    "state, drawn ahead": Case(
        lambda _: SizedCounting(7), ways=("auto",), is_sized=False, stops=(0, 1, 4, 6)
    ),
    "shuffled, cycled": Case(
        lambda _: _loader(Rows(6, *ALL), shuffle=True), passes=2, stops=(2, 3, 4, 6)
    ),
    "lazy, cycled": Case(
        lambda _: _loader(Rows(6, *ALL), sampler=LazySampler(6)), passes=2, stops=(2, 3, 4, 6)
    ),
    "stream, cycled": Case(
        lambda _: _loader(Stream(6, *ALL)),
        ways=_NO_INDEX,
        passes=2,
        is_sized=False,
        stops=(1, 2, 3, 4),
    ),
    "state, cycled": Case(lambda _: SizedCounting(3), passes=2, ways=("auto",), stops=(2, 3, 4, 6)),
    "workers": Case(
        lambda _: _loader(Rows(12), shuffle=True, num_workers=2),
        stops=(1, 6),
        has_workers=True,
    ),
    "random workers": Case(
        lambda _: _loader(Rows(12, *ALL), shuffle=True, num_workers=2),
        ways=_NO_INDEX,
        stops=(1, 4),
        has_workers=True,
    ),
    "workers with late generators": Case(
        lambda _: _loader(Late(12), shuffle=True, num_workers=2),
        ways=_NO_INDEX,
        stops=(3,),
        has_workers=True,
        is_slow=True,
    ),
    "workers, collate with a generator": Case(
        lambda _: _loader(Rows(12), num_workers=2, collate_fn=Mixing()),
        ways=_NO_INDEX,
        stops=(3,),
        has_workers=True,
    ),
    "workers, cycled": Case(
        lambda _: _loader(Rows(6, *ALL), shuffle=True, num_workers=2),
        passes=2,
        ways=("auto",),
        stops=(2, 3, 5),
        has_workers=True,
        is_slow=True,
    ),
    "persistent workers": Case(
        lambda _: _loader(Rows(12), num_workers=2, persistent_workers=True, shuffle=True),
        stops=(2,),
        has_workers=True,
    ),
    "persistent random workers": Case(
        lambda _: _loader(
            Rows(12, *ALL), num_workers=2, persistent_workers=True, shuffle=True, generator=_own()
        ),
        ways=_NO_INDEX,
        stops=(0, 2, 6),
        has_workers=True,
    ),
    "persistent workers, collate with a generator": Case(
        lambda _: _loader(Rows(12), num_workers=2, persistent_workers=True, collate_fn=Mixing()),
        ways=("auto",),
        stops=(2,),
        has_workers=True,
        is_slow=True,
    ),
    "persistent stream": Case(
        lambda _: _loader(Stream(12, *ALL), num_workers=2, persistent_workers=True),
        ways=("auto",),
        is_sized=False,
        stops=(2,),
        has_workers=True,
    ),
    "AutoDataModule": Case(_auto, ways=("auto",), stops=(0, 1, 4)),
    "AutoDataModule, blocks": Case(
        partial(_auto, shuffle="blocks"), ways=("auto",), stops=(0, 1, 4)
    ),
    "AutoDataModule, cycled": Case(_auto, ways=("auto",), passes=2, stops=(6, 8, 12)),
}


def _replacing(length: int) -> RandomSampler:
    return RandomSampler(range(length), replacement=True, generator=_own())

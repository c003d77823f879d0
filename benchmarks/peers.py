"""The contestants: leyden, loaders written by hand, other libraries, what the machine allows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from itertools import count, cycle
from typing import Any

import numpy as np
import torch
from benchmarks.measuring import Contestant
from benchmarks.shapes import LITDATA_ROWS, WEBDATASET_ROWS, Stored
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from leyden.data import AutoDataModule
from leyden.data.addresses import RowGather
from leyden.data.buffers import Buffers
from leyden.types import Array

PEERS = ("litdata", "torchdata", "webdataset")
_COPY_BYTES = 1_572_864  # 32 images
_RING = 8
_WINDOW = 8  # shards whose rows are mixed
_BLOCK_BYTES = 5 << 20  # gathered at once
_PLANNED_ROWS = 65536  # planned at once


def installed() -> dict[str, str]:
    return {name: version(name) for name in PEERS if find_spec(name)}


def left_out() -> list[str]:
    return [name for name in PEERS if not find_spec(name)]


@dataclass(frozen=True)
class Setting:
    """What the contestants are asked for."""

    batch_size: int
    is_shuffled: bool
    num_workers: int

    @property
    def loading(self) -> dict[str, Any]:
        """Arguments that torch's loader and all that are made like it take."""
        workers = {"num_workers": self.num_workers, "persistent_workers": self.num_workers > 0}
        return {"batch_size": self.batch_size, **workers}


class PerSample(Dataset[tuple[Tensor, int]]):
    """What one writes by hand: shards mapped once, one row and one label at a time.

    Args:
        stored: The data.
        is_lean: Whether views of plain arrays and lists are kept, which cost less to index.
        change: A transform of each row.
    """

    def __init__(
        self,
        stored: Stored,
        *,
        is_lean: bool = False,
        change: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        # Copied on write, so that torch takes rows without a warning, and without a copy.
        maps = [np.load(path, mmap_mode="c") for path in stored.shard_paths()]
        self._inputs = [np.asarray(rows) for rows in maps] if is_lean else maps
        labels = stored.labels()
        self._labels = [one.tolist() for one in labels] if is_lean else labels
        self._shape, self._change = stored.shape, change

    def __len__(self) -> int:
        return self._shape.num_rows

    @override
    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        shard, row = divmod(index, self._shape.shard_rows)
        inputs = torch.from_numpy(self._inputs[shard][row])
        label = int(self._labels[shard][row])
        return self._change(inputs) if self._change else inputs, label


def contestants(stored: Stored, setting: Setting) -> list[Contestant]:
    """List those that take part: all with workers only where workers are asked for."""
    shuffles = {"leyden": "window:8", "leyden rows": "rows"}
    if not setting.is_shuffled:
        shuffles = {"leyden": "none"}
    made = [_leyden(name, stored, setting, shuffle) for name, shuffle in shuffles.items()]
    made.append(_maps("maps", DataLoader, PerSample(stored), setting))
    made.append(_maps("maps lean", DataLoader, PerSample(stored, is_lean=True), setting))
    if find_spec("torchdata"):
        loader = import_module("torchdata.stateful_dataloader").StatefulDataLoader
        made.append(_maps("stateful", loader, PerSample(stored), setting))
    if find_spec("litdata"):
        made.append(_litdata(stored, setting))
    if find_spec("webdataset"):
        made.append(_webdataset(stored, setting))
    return made if setting.num_workers else [*made, *_limits(stored, setting)]


def leyden_module(stored: Stored, setting: Setting, shuffle: str, **more: Any) -> AutoDataModule:
    return AutoDataModule(stored.shards, shuffle=shuffle, **setting.loading, **more)


def _leyden(name: str, stored: Stored, setting: Setting, shuffle: str) -> Contestant:
    loader = leyden_module(stored, setting, shuffle).train_dataloader()
    return Contestant(name, lambda: loader, stored.shape.num_rows, setting.num_workers)


def _maps(name: str, make: Any, dataset: PerSample, setting: Setting) -> Contestant:
    loader = make(dataset, shuffle=setting.is_shuffled, **setting.loading)
    return Contestant(name, lambda: loader, len(dataset), setting.num_workers)


def litdata_loader(stored: Stored, setting: Setting) -> Any:
    litdata = import_module("litdata")
    dataset = litdata.StreamingDataset(
        str(stored.litdata), shuffle=setting.is_shuffled, drop_last=False
    )
    return litdata.StreamingDataLoader(dataset, **setting.loading)


def _litdata(stored: Stored, setting: Setting) -> Contestant:
    loader, num_rows = litdata_loader(stored, setting), min(stored.shape.num_rows, LITDATA_ROWS)
    return Contestant("litdata", lambda: loader, num_rows, setting.num_workers)


def _webdataset(stored: Stored, setting: Setting) -> Contestant:
    webdataset = import_module("webdataset")
    shards, samples = (100, 1000) if setting.is_shuffled else (False, 0)
    urls = [str(path) for path in sorted(stored.webdataset.glob("*.tar"))]
    dataset = webdataset.WebDataset(urls, shardshuffle=shards).shuffle(samples)
    batches = dataset.decode().to_tuple("npy", "cls").batched(setting.batch_size)
    loader = webdataset.WebLoader(batches, **setting.loading | {"batch_size": None})
    num_rows = min(stored.shape.num_rows, WEBDATASET_ROWS)
    return Contestant("webdataset", lambda: loader, num_rows, setting.num_workers)


def _limits(stored: Stored, setting: Setting) -> list[Contestant]:
    (inputs, labels), size = stored.whole, setting.batch_size
    select = partial(_from_memory, inputs, labels, size, is_shuffled=setting.is_shuffled)
    copies = {"copy": size, "copy 1.5 MB": max(1, _COPY_BYTES // stored.shape.row_bytes)}
    made = [Contestant("memory", select, stored.shape.num_rows)]
    if setting.is_shuffled:
        maps = [np.asarray(np.load(path, mmap_mode="c")) for path in stored.shard_paths()]
        gather = partial(_from_maps, maps, labels, size, Buffers())
        made.append(Contestant("mapped", gather, stored.shape.num_rows))
        plan = partial(_plan, leyden_module(stored, setting, "window:8"), count())
        made.append(Contestant("plan", plan, stored.shape.num_rows))
    for name, rows in copies.items():
        ring = [(inputs[:rows].clone(), labels[:rows].clone()) for _ in range(_RING)]
        copy = partial(_copies, inputs, labels, ring)
        made.append(Contestant(name, copy, stored.shape.num_rows))
    return made


def _from_memory(
    inputs: Tensor, labels: Tensor, batch_size: int, *, is_shuffled: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    order = torch.randperm(len(inputs)) if is_shuffled else torch.arange(len(inputs))
    for part in torch.split(order, batch_size):
        yield inputs.index_select(0, part), labels.index_select(0, part)


def _from_maps(maps: list[Array], labels: Tensor, size: int, buffers: Buffers) -> Iterator[Any]:
    """The least that leyden can do: shuffle the rows of eight files, find them, gather them."""
    lengths = np.array([len(rows) for rows in maps])
    begins, random = np.cumsum(lengths) - lengths, np.random.default_rng()
    for first in range(0, len(maps), _WINDOW):
        some = maps[first : first + _WINDOW]
        places = np.repeat(np.arange(len(some)), lengths[first : first + _WINDOW])
        order = random.permutation(len(places))
        rows = order - (begins[first : first + len(some)] - begins[first])[places[order]]
        gather = RowGather(some, places[order], rows, buffers=buffers)
        numbers = torch.from_numpy(order + begins[first])
        many = max(1, _BLOCK_BYTES // (size * gather.row_bytes)) * size
        for begin, part in zip(range(0, len(order), many), torch.split(numbers, many), strict=True):
            inputs = torch.from_numpy(gather.take(begin, begin + len(part)))
            parts = (torch.split(one, size) for one in (inputs, labels.index_select(0, part)))
            yield from zip(*parts, strict=True)


def _plan(data: AutoDataModule, epochs: Iterator[int]) -> Iterator[tuple[None, range]]:
    """What leyden works out for each batch, and no row of it."""
    plan = data.plan("train", next(epochs))
    at_once = _PLANNED_ROWS // plan.batch_size
    for first in range(0, len(plan), at_once):
        _, sizes = plan.block(first, min(first + at_once, len(plan)))
        yield from ((None, range(size)) for size in sizes)


def _copies(
    inputs: Tensor, labels: Tensor, ring: list[tuple[Tensor, Tensor]]
) -> Iterator[tuple[Tensor, Tensor]]:
    size = len(ring[0][1])
    parts = zip(torch.split(inputs, size), torch.split(labels, size), strict=True)
    for (some, some_labels), (into, into_labels) in zip(parts, cycle(ring), strict=False):
        if len(some_labels) < size:
            yield into[: len(some)].copy_(some), into_labels[: len(some)].copy_(some_labels)
        else:
            yield into.copy_(some), into_labels.copy_(some_labels)

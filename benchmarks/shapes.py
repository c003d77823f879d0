"""The data that is measured: rows of three sizes, in the forms that the contestants read."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from leyden.shards import write_shards
from leyden.types import Array

LITDATA_ROWS = 200_000  # rows written for LitData at most: it takes a while to write them
WEBDATASET_ROWS = 20_000  # likewise; a small row takes 4 KB of a tar file


@dataclass(frozen=True)
class Shape:
    """One kind of data: rows of ``row_shape`` float32 with whole numbers as labels, in shards."""

    name: str
    num_rows: int
    shard_rows: int
    row_shape: tuple[int, ...]

    @property
    def num_shards(self) -> int:
        return -(-self.num_rows // self.shard_rows)

    @property
    def row_bytes(self) -> int:
        return 4 * prod(self.row_shape)


def shapes(num_images: int) -> tuple[Shape, ...]:
    return (
        Shape("images", num_images, shard_rows=128, row_shape=(3, 64, 64)),
        Shape("series", 40_000, shard_rows=200, row_shape=(400, 4)),
        Shape("tiny", 1_000_000, shard_rows=10_000, row_shape=(32,)),
    )


@dataclass(frozen=True)
class Stored:
    """Data on disk, in a folder for each form."""

    shape: Shape
    path: Path

    @property
    def shards(self) -> Path:
        return self.path / "shards"

    @property
    def litdata(self) -> Path:
        return self.path / "litdata"

    @property
    def webdataset(self) -> Path:
        return self.path / "webdataset"

    def shard_paths(self) -> list[Path]:
        return [self.shards / f"sample__{n}.npy" for n in range(1, self.shape.num_shards + 1)]

    def labels(self) -> list[Array]:
        with np.load(self.shards / "labels.npz") as archive:
            return [archive[str(number)] for number in range(1, self.shape.num_shards + 1)]

    @cached_property
    def whole(self) -> tuple[Tensor, Tensor]:
        """All rows and all labels, in memory."""
        inputs = np.concatenate([np.load(path) for path in self.shard_paths()])
        return torch.from_numpy(inputs), torch.from_numpy(np.concatenate(self.labels()))

    def rows(self) -> Iterator[tuple[Array, int]]:
        """One row and its label at a time."""
        for path, labels in zip(self.shard_paths(), self.labels(), strict=True):
            yield from zip(np.load(path), labels.tolist(), strict=True)


def store(shape: Shape, path: Path) -> Stored:
    """Make data up, and write it in the forms whose readers are installed."""
    stored, random = Stored(shape, path), np.random.default_rng(0)
    starts = range(0, shape.num_rows, shape.shard_rows)
    sizes = [min(shape.shard_rows, shape.num_rows - start) for start in starts]
    inputs = {
        number: random.random((size, *shape.row_shape), np.float32)
        for number, size in enumerate(sizes, start=1)
    }
    labels = {number: random.integers(0, 10, len(rows)) for number, rows in inputs.items()}
    write_shards(stored.shards, inputs, labels=labels)
    if find_spec("litdata"):
        _write_litdata(stored)
    if find_spec("webdataset"):
        _write_webdataset(stored)
    return stored


def _write_litdata(stored: Stored) -> None:
    cache = import_module("litdata.streaming").Cache(str(stored.litdata), chunk_bytes="64MB")
    for index, row in enumerate(islice(stored.rows(), LITDATA_ROWS)):
        cache[index] = row
    cache.done()
    cache.merge()


def _write_webdataset(stored: Stored) -> None:
    webdataset = import_module("webdataset")
    stored.webdataset.mkdir()
    rows = islice(stored.rows(), WEBDATASET_ROWS)
    number = 0
    while some := list(islice(rows, stored.shape.shard_rows)):
        with webdataset.TarWriter(str(stored.webdataset / f"{number:05d}.tar")) as tar:
            for index, (row, label) in enumerate(some):
                tar.write({"__key__": f"{number:05d}-{index:05d}", "npy": row, "cls": label})
        number += 1

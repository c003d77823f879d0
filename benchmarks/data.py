"""Rows per second of the data path, beside a per-sample ``Dataset`` and a bare memory copy.

All contestants run in one process, one after another in every round, so that their ratios hold
where the machine's speed drifts. Each hands out every row of every shard once per round, in batches
of a shuffled order. Prints a table, and writes it to ``benchmarks/results/data.json``.

    python benchmarks/data.py [--rounds 5]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from leyden.data import AutoDataModule
from leyden.runs import hardware_info, versions
from leyden.shards import write_shards

RESULTS = Path(__file__).parent / "results" / "data.json"


@dataclass(frozen=True)
class Shape:
    """One kind of data: ``sets`` shards of ``rows`` rows of ``row_shape`` float32."""

    name: str
    sets: int
    rows: int
    row_shape: tuple[int, ...]


SHAPES = (
    Shape("images 3x64x64", sets=16, rows=128, row_shape=(3, 64, 64)),
    Shape("series 400x4", sets=50, rows=200, row_shape=(400, 4)),
    Shape("tiny rows of 32", sets=20, rows=10_000, row_shape=(32,)),
)


class PerSample(Dataset[tuple[Tensor, Tensor]]):
    """What one writes by hand: shards mapped once, one row and one label at a time."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        numbers = range(1, shape.sets + 1)
        self._data = [np.load(folder / f"sample__{n}.npy", mmap_mode="r") for n in numbers]
        with np.load(folder / "labels.npz") as archive:
            self._labels = [archive[str(number)] for number in numbers]
        self._rows = shape.rows

    def __len__(self) -> int:
        return len(self._data) * self._rows

    @override
    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        number, row = divmod(index, self._rows)
        return torch.from_numpy(self._data[number][row].copy()), torch.tensor(
            self._labels[number][row]
        )


def copies(whole: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Copy the same bytes, batch by batch in their order, from memory into a ring of eight."""
    ring = torch.empty((8, batch_size, *whole.shape[1:]))
    for index, rows in enumerate(torch.split(whole, batch_size)):
        batch = ring[index % 8][: len(rows)]
        batch.copy_(rows)
        yield batch


def write(folder: Path, shape: Shape) -> None:
    random = np.random.default_rng(0)
    numbers = range(1, shape.sets + 1)
    inputs = {n: random.random((shape.rows, *shape.row_shape), np.float32) for n in numbers}
    labels = {n: random.integers(0, 10, shape.rows) for n in numbers}
    write_shards(folder, inputs, labels=labels)


def rows_per_second(batches: Iterable[Any], num_rows: int) -> float:
    began = time.perf_counter()
    for _ in batches:
        pass
    return num_rows / (time.perf_counter() - began)


def compare(folder: Path, shape: Shape, batch_size: int, rounds: int) -> dict[str, Any]:
    """Measure the contestants in turn; quote medians of speeds and of ratios pair by pair."""
    ours = AutoDataModule(folder, batch_size=batch_size, shuffle="rows").train_dataloader()
    by_sample: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        PerSample(folder, shape), batch_size=batch_size, shuffle=True
    )
    shards = [np.load(path) for path in sorted(folder.glob("sample__*.npy"))]
    whole = torch.from_numpy(np.concatenate(shards))
    contestants: dict[str, Callable[[], Iterable[Any]]] = {
        "leyden": lambda: ours,
        "per sample": lambda: by_sample,
        "copy": lambda: copies(whole, batch_size),
    }
    num_rows = shape.sets * shape.rows
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(rounds + 1):
        for name, batches in contestants.items():
            speed = rows_per_second(batches(), num_rows)
            if round_ > 0:  # the first round warms the page cache
                speeds[name].append(speed)
    pairs = {
        name: [mine / other for mine, other in zip(speeds["leyden"], speeds[name], strict=True)]
        for name in ("per sample", "copy")
    }
    return {
        "data": shape.name,
        "batch_size": batch_size,
        "rows_per_second": {name: round(statistics.median(s)) for name, s in speeds.items()},
        "ratio_to_per_sample": round(statistics.median(pairs["per sample"]), 2),
        "fraction_of_copy": round(statistics.median(pairs["copy"]), 3),
    }


def show(results: list[dict[str, Any]]) -> None:
    table = Table(title="rows per second, and leyden's ratio to the others, from one process")
    for column in ("data", "batch", "leyden", "per sample", "copy", "x per sample", "of copy"):
        table.add_column(column, justify="left" if column == "data" else "right")
    for result in results:
        speeds = [f"{speed:,}" for speed in result["rows_per_second"].values()]
        ratios = [f"{result['ratio_to_per_sample']:.1f}", f"{result['fraction_of_copy']:.2f}"]
        table.add_row(result["data"], str(result["batch_size"]), *speeds, *ratios)
    Console(width=110).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (default 5)")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    results = []
    for shape in SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), shape)
            results += [compare(Path(folder), shape, size, rounds) for size in (32, 100)]
    show(results)
    facts = {"machine": hardware_info(), "versions": versions(), "rounds": rounds}
    shapes = [asdict(shape) for shape in SHAPES]
    RESULTS.parent.mkdir(exist_ok=True)
    report = {**facts, "datasets": shapes, "results": results}
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

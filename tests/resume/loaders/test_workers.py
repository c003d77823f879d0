"""What workers report, and how they are put back; with real worker processes."""

import os
import random
import signal
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from loader_table import Mixing, Rows
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info
from typing_extensions import override

from leyden.resume.loaders.workers import Report, ReportingCollate, StartingAt


def loader(
    dataset: Any, states: dict[int, Any] | None = None, collate: Any = torch.stack, **options: Any
) -> DataLoader[Any]:
    return DataLoader(
        dataset,
        batch_size=2,
        num_workers=options.pop("num_workers", 2),
        collate_fn=ReportingCollate(collate),
        worker_init_fn=StartingAt(options.pop("init", None), states or {}, collate),
        generator=torch.Generator().manual_seed(1),
        **options,
    )


def test_nothing_is_reported_outside_of_workers() -> None:
    assert ReportingCollate(len)([1, 2]) == 2


def test_each_worker_reports_its_batches() -> None:
    reports = list(loader(Rows(8)))
    assert all(isinstance(report, Report) for report in reports)
    assert [report.worker for report in reports] == [0, 1, 0, 1]
    assert [report.batch.flatten().tolist() for report in reports] == [
        [0.0, 1.0],
        [2.0, 3.0],
        [4.0, 5.0],
        [6.0, 7.0],
    ]


@pytest.mark.parametrize(
    ("dataset", "collate", "moves"),
    [
        (Rows(8), torch.stack, False),
        (Rows(8, "torch"), torch.stack, True),
        (Rows(8, "numpy"), torch.stack, True),
        (Rows(8, "random"), torch.stack, True),
        (Rows(8, "own"), torch.stack, True),
        (Rows(8), Mixing(), True),
    ],
)
def test_state_is_reported_when_a_generator_has_moved(
    dataset: Any, collate: Any, *, moves: bool
) -> None:
    reports = list(loader(dataset, collate=collate))
    assert [report.state is not None for report in reports] == [moves] * 4


@pytest.mark.parametrize("kind", ["torch", "numpy", "random", "own"])
def test_workers_go_on_where_they_stood(kind: str) -> None:
    reports = list(loader(Rows(12, kind)))
    states = {report.worker: report.state for report in reports[:2]}
    resumed = list(loader(Rows(12, kind), states))  # whose first batches are drawn as the second
    assert [draws(one) for one in resumed[:4]] == [draws(one) for one in reports[2:]]


def draws(report: Report) -> list[float]:
    drawn: list[float] = report.batch[:, 1].tolist()
    return drawn


class Notes(Dataset[Tensor]):
    def __len__(self) -> int:
        return 4

    @override
    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor([random.random(), np.random.rand()])


def seed_all(worker: int) -> None:
    random.seed(worker)
    np.random.seed(worker)


def test_loaders_own_preparation_comes_first() -> None:
    first, second = list(loader(Notes(), init=seed_all))
    random.seed(0)
    assert first.batch[0, 0].item() == torch.tensor(random.random()).item()
    states = {0: first.state, 1: second.state}
    again = list(loader(Notes(), states, init=seed_all))
    assert again[0].batch.tolist() != first.batch.tolist()


class Handlers(Dataset[Tensor]):
    """Says how a worker meets signals, and meets one."""

    def __len__(self) -> int:
        return 2

    @override
    def __getitem__(self, index: int) -> Tensor:
        assert get_worker_info() is not None
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        remaining, _ = signal.getitimer(signal.ITIMER_REAL)
        return torch.tensor([float(index), remaining])


def test_worker_outlasts_signals_and_sigterm_only_for_a_while() -> None:
    (report,) = list(loader(Handlers(), num_workers=1))
    assert report.batch[:, 0].tolist() == [0.0, 1.0]
    assert all(0 < seconds <= 60 for seconds in report.batch[:, 1].tolist())


class Pids(Dataset[Tensor]):
    def __len__(self) -> int:
        return 400

    @override
    def __getitem__(self, index: int) -> Tensor:
        return torch.tensor(os.getpid())


def test_workers_end_with_their_loader_after_a_signal() -> None:
    batches = iter(loader(Pids()))
    pids = {pid for _ in range(2) for pid in next(batches).batch.tolist()}
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    assert isinstance(next(batches), Report)
    began = time.monotonic()
    batches._shutdown_workers()  # type: ignore[attr-defined] # torch's iterator
    assert time.monotonic() - began < 5  # torch's patience, after which it would have to kill
    assert not any(is_alive(pid) for pid in pids)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Pinnable:
    def __init__(self, *, is_pinned: bool = False) -> None:
        self.is_pinned = is_pinned

    def pin_memory(self) -> "Pinnable":
        return Pinnable(is_pinned=True)


def test_batch_in_a_report_is_pinned_as_torch_does() -> None:
    state = {"torch": b"1"}
    pinned = Report({"a": [Pinnable()], "b": "text"}, 1, state).pin_memory()
    assert pinned.batch["a"][0].is_pinned
    assert pinned.batch["b"] == "text"
    assert (pinned.worker, pinned.state) == (1, state)


@pytest.fixture(autouse=True)
def put_the_generators_back() -> Iterator[None]:
    before = random.getstate(), np.random.get_state()
    yield
    random.setstate(before[0])
    np.random.set_state(before[1])


def test_state_is_of_bytes_and_numbers() -> None:
    state = next(iter(loader(Rows(8, "torch")))).state
    assert isinstance(state["torch"], bytes)
    assert len(state["own"]) == 1

"""Each way gets to its place, and leaves the loader as it was."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from loader_table import CASES, Batches, Made, Mixing, Rows, Stateful
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.generators import global_state, restore_global_state
from leyden.resume.loaders.ways import ByIndex, ByReplay, ByState, choose_way, is_plain


@pytest.fixture(autouse=True)
def put_the_generators_back() -> Iterator[None]:
    state = global_state()
    yield
    restore_global_state(state)


def lists(batches: Any) -> list[Any]:
    return [batch.tolist() for batch in batches]


@pytest.mark.parametrize(
    ("loader", "fast_forward", "way"),
    [
        (DataLoader(Rows(4)), "auto", ByIndex),
        (DataLoader(Rows(4)), "replay", ByReplay),
        (DataLoader(Rows(4), num_workers=1), "replay", ByIndex),  # whose workers must report
        (DataLoader(Rows(4), batch_sampler=Batches(4)), "auto", ByIndex),
        (Stateful(3), "auto", ByState),
        (Stateful(3), "replay", ByReplay),
        (Made(3), "auto", ByReplay),
        (CASES["stream"].make(None), "auto", ByReplay),  # type: ignore[arg-type] # no folder is used
        (CASES["own way through"].make(None), "auto", ByReplay),  # type: ignore[arg-type] # no folder is used
    ],
)
def test_way_is_the_cheapest_that_is_exact(loader: Any, fast_forward: Any, way: type) -> None:
    assert type(choose_way(loader, fast_forward)) is way


class Reading(Rows):
    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.read: list[int] = []

    @override
    def __getitem__(self, index: int) -> Any:
        self.read.append(index)
        return super().__getitem__(index)


def test_rows_before_the_place_are_not_read() -> None:
    rows = Reading(12)
    batches = ByIndex(DataLoader(rows, 2)).open({}, 4)
    assert lists(batches) == [[[8.0], [9.0]], [[10.0], [11.0]]]
    assert rows.read == [8, 9, 10, 11]


def test_skipping_is_not_seen_in_the_order() -> None:
    loader = DataLoader(Rows(12, "torch"), 2, shuffle=True)
    torch.manual_seed(1)
    whole = [batch[:, 0].tolist() for batch in ByIndex(loader).open({})]
    torch.manual_seed(1)
    skipped = [batch[:, 0].tolist() for batch in ByIndex(loader).open({}, 3)]
    assert skipped == whole[3:]


def test_replay_is_not_disturbed_and_does_not_disturb() -> None:
    way = ByReplay(Made(4))
    torch.manual_seed(1)
    random.seed(1)
    whole = lists(way.open({}))
    after = torch.rand(()).item(), random.random()
    torch.manual_seed(1)
    random.seed(1)
    batches = way.open({})
    seen = [next(batches)]
    now = torch.rand(()).item(), random.random()
    seen += list(batches)
    assert lists(seen) == whole
    assert now == after


@pytest.mark.parametrize("make", [ByIndex, ByReplay])
def test_functions_of_the_users_loader_are_left_alone(make: Any) -> None:
    mixing = Mixing()
    loader = DataLoader(Rows(4), 2, collate_fn=mixing, num_workers=1)
    way = make(loader)
    list(way.open({}))
    way.close()
    assert loader.collate_fn is mixing
    assert loader.worker_init_fn is None


def test_state_is_handed_to_the_loader() -> None:
    way = ByState(Stateful(5))
    way.go_to({"at": 3})
    assert [row[0].item() for row in way.open({})] == [3.0, 4.0]
    way.close()


def test_only_loaders_that_go_torchs_way_are_plain() -> None:
    assert is_plain(DataLoader(Rows(4)))
    assert not is_plain(CASES["own way through"].make(None))  # type: ignore[arg-type] # no folder is used
    assert not is_plain([1])


def test_workers_that_persist_get_the_same_seed_when_they_are_started_anew() -> None:
    def make() -> ByIndex:
        return ByIndex(DataLoader(Rows(4), 2, num_workers=1, persistent_workers=True))

    first, later = make(), make()
    torch.manual_seed(1)
    seeded = first.open({})
    later.born = first.born
    again = later.open({})
    assert seeded._base_seed == again._base_seed  # type: ignore[attr-defined] # torch's iterator
    for way in (first, later):
        way.close()

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leyden.data.gather import ShardStore
from leyden.data.picks import Picks
from leyden.errors import DataError, ShardError
from leyden.shards import discover
from leyden.types import Array


def picks(*slices: tuple[int, list[int]]) -> Picks:
    """Pick the rows of some slices."""
    numbers = [number for number, rows in slices for _ in rows]
    return Picks.of(numbers, [row for _, rows in slices for row in rows])


def read(store: ShardStore, *slices: tuple[int, list[int]]) -> Array:
    """Read inputs that have no names."""
    return store.inputs(picks(*slices))[""]


def test_rows_come_in_the_order_of_the_batch(write: Callable[..., Path]) -> None:
    store = ShardStore(discover(write({3: 4, 12: 5}, labels=True)))
    wanted = picks((12, [4, 0]), (3, [2, 3, 1]))
    assert store.inputs(wanted)[""].tolist() == [[12, 4], [12, 0], [3, 2], [3, 3], [3, 1]]
    assert store.labels(wanted).tolist() == [40, 0, 20, 30, 10]
    assert store.has_labels


def test_dtypes_are_those_on_disk(tmp_path: Path) -> None:
    np.save(tmp_path / "a1.npy", np.zeros((3, 2), np.uint8))
    np.save(tmp_path / "labels.npy", np.arange(3, dtype=np.int16))
    store = ShardStore(discover(tmp_path))
    assert read(store, (1, [0])).dtype == np.uint8
    assert store.labels(picks((1, [0]))).dtype == np.int16


def test_a_batch_is_memory_of_its_own(write: Callable[..., Path]) -> None:
    store = ShardStore(discover(write({1: 3})))
    read(store, (1, [0, 1]))[:] = -1
    assert read(store, (1, [0, 1])).tolist() == [[1, 0], [1, 1]]


def test_labels_are_missed_only_when_asked_for(write: Callable[..., Path]) -> None:
    store = ShardStore(discover(write({1: 3})))
    assert not store.has_labels
    with pytest.raises(DataError, match=r"Expected labels for .*d, but none were found"):
        store.labels(picks((1, [0])))


def test_a_set_is_opened_once_while_it_is_in_use(write: Callable[..., Path], counting: Any) -> None:
    store = ShardStore(discover(write(dict.fromkeys(range(32), 2)), reader=counting))
    counting.opened.clear()
    for _ in range(3):
        for number in range(32):
            read(store, (number, [1]))
    assert len(counting.opened) == 32


def test_a_shard_that_is_gone_is_named(write: Callable[..., Path]) -> None:
    folder = write({3: 4, 12: 5})
    store = ShardStore(discover(folder))
    (folder / "sample__12.npy").unlink()
    assert read(store, (3, [0])).tolist() == [[3, 0]]
    with pytest.raises(ShardError, match=r"Set 12: Expected a readable file.*sample__12.npy"):
        read(store, (3, [0]), (12, [0]))


def test_rows_of_sets_that_alternate_go_where_they_belong(write: Callable[..., Path]) -> None:
    store = ShardStore(discover(write({3: 4, 12: 5, 7: 2}, labels=True)))
    wanted = picks((12, [4]), (3, [2]), (12, [0, 1]), (7, [1]), (3, [0]))
    assert store.inputs(wanted)[""].tolist() == [[12, 4], [3, 2], [12, 0], [12, 1], [7, 1], [3, 0]]
    assert store.labels(wanted).tolist() == [40, 20, 0, 10, 10, 0]

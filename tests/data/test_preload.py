import re
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import pytest
from torch import Tensor

from leyden.data import AutoDataModule
from leyden.data.gather import ShardStore
from leyden.data.preload import Preloader, check_preload
from leyden.errors import ConfigError, DataError
from leyden.shards import discover
from leyden.types import Phase

Write: TypeAlias = Callable[..., Path]

LENGTHS = {1: 10, 2: 20, 3: 5, 4: 15}  # rows of 8 bytes: 80, 160, 40 and 120 bytes


@pytest.mark.parametrize(
    ("preload", "expected"),
    [
        (None, 0),
        ("all", None),
        (0, 0),
        (12345, 12345),
        ("12345", 12345),
        ("12345 B", 12345),
        ("4GiB", 4 << 30),
        ("4gib", 4 << 30),
        (" 1.5 MB ", 1_500_000),
        ("2k", 2000),
        ("2KiB", 2048),
        ("1t", 10**12),
        ("0.5Ti", 1 << 39),
        ([3, 7], (3, 7)),
        (np.array([3, 7]), (3, 7)),
        ([np.int64(3), 7], (3, 7)),
        (np.int64(12345), 12345),
        ((), ()),
    ],
)
def test_sizes_and_numbers_are_understood(preload: Any, expected: Any) -> None:
    assert check_preload(preload) == expected


@pytest.mark.parametrize(
    "preload",
    [
        "some",
        "",
        "-1GiB",
        "4 GiB of it",
        "GiB",
        "1e9",
        True,
        -1,
        4e9,
        [1.5],
        [True],
        {1},
        np.array([1.5]),
    ],
)
def test_anything_else_is_refused(preload: Any) -> None:
    problem = "Expected `preload` to be 'all', a size, set numbers or None, but got "
    with pytest.raises(ConfigError, match=problem + re.escape(repr(preload)) + ".*'4GiB'"):
        AutoDataModule("nowhere", preload=preload)


@pytest.fixture
def batches_of(write: Write, counting: Any) -> Callable[..., tuple[list[Any], set[str]]]:
    """Tell the batches of two epochs, and the files that rows were read from in the second."""

    def tell(**arguments: Any) -> tuple[list[Any], set[str]]:
        settings = {"batch_size": 7, "shuffle": "full", "reader": counting, **arguments}
        loader = AutoDataModule(write(LENGTHS), **settings).train_dataloader()
        batches = [batch.tolist() for batch in loader if isinstance(batch, Tensor)]
        counting.read_rows.clear()
        batches += [batch.tolist() for batch in loader if isinstance(batch, Tensor)]
        return batches, {name for name, _ in counting.read_rows}

    return tell


def name(number: int) -> str:
    return f"sample__{number}.npy"


@pytest.mark.parametrize(
    ("preload", "read"),
    [
        (None, [1, 2, 3, 4]),
        (0, [1, 2, 3, 4]),
        ([], [1, 2, 3, 4]),
        ("all", []),
        ("1GiB", []),
        (400, []),  # all of it, to the byte
        ([4, 1, 4], [2, 3]),
    ],
)
def test_sets_in_memory_are_not_read_again(
    batches_of: Callable[..., Any], preload: Any, read: list[int]
) -> None:
    batches, names = batches_of(preload=preload)
    assert names == {name(number) for number in read}
    assert batches == batches_of()[0]


@pytest.mark.parametrize(
    ("preload", "kept", "told"),
    [
        (399, [1, 2, 3], "has 399 B for 4 sets of 400 B: 3 sets, 280 B, are kept .* 1 sets, 120 B"),
        ("150 B", [1, 3], "has 150 B for 4 sets of 400 B: 2 sets, 120 B, .* 2 sets, 280 B, are"),
        (1, [], "has 1 B for 4 sets of 400 B: 0 sets, 0 B, are kept in memory, and 4 sets, 400 B"),
    ],
)
def test_what_does_not_fit_is_read_as_ever_with_a_warning(
    batches_of: Callable[..., Any], preload: Any, kept: list[int], told: str
) -> None:
    with pytest.warns(UserWarning, match=f"`preload` {told}"):
        batches, names = batches_of(preload=preload)
    assert names == {name(number) for number in LENGTHS if number not in kept}
    assert batches == batches_of()[0]


def test_no_more_is_kept_than_there_is_room_in_memory(
    batches_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(available=250)  # of which 200 bytes are taken
    monkeypatch.setattr("leyden.data.preload.psutil.virtual_memory", lambda: free)
    for preload in ("all", "1GiB", [1, 2, 3, 4]):
        told = "has 200 B for 4 sets of 400 B: 2 sets, 120 B, are kept"
        with pytest.warns(UserWarning, match=told):
            _, names = batches_of(preload=preload)
        assert names == {name(2), name(4)}


def test_phases_share_one_budget(write: Write, counting: Any) -> None:
    data = AutoDataModule(write(LENGTHS), val=[1, 3], reader=counting, preload=300, batch_size=99)
    data.train_dataloader()  # sets 2 and 4, of 280 bytes
    with pytest.warns(UserWarning, match="`preload` has 20 B for 2 sets of 120 B: 0 sets"):
        val: Any = data.val_dataloader()
    counting.read_rows.clear()
    list(data.train_dataloader())
    assert counting.read_rows == []
    list(val)
    assert {file for file, _ in counting.read_rows} == {name(1), name(3)}


def test_phases_with_the_same_sets_keep_them_once(write: Write) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = AutoDataModule(write(LENGTHS), test=[2], preload=400)
        for loader in (data.train_dataloader(), data.test_dataloader(), data.predict_dataloader()):
            list(loader)


def test_numbers_may_be_of_any_phase(write: Write, counting: Any) -> None:
    data = AutoDataModule(write(LENGTHS), val=[1, 3], reader=counting, preload=[3, 4])
    loaders: list[Any] = [data.train_dataloader(), data.val_dataloader()]
    counting.read_rows.clear()
    assert all(len(list(loader)) > 0 for loader in loaders)
    assert {file for file, _ in counting.read_rows} == {name(1), name(2)}


def test_numbers_that_do_not_exist_are_refused(write: Write) -> None:
    data = AutoDataModule(write(LENGTHS), val=[1], preload=[2, 9, 11])
    problem = r"`preload` to name sets that exist, but got \[9, 11\]. Known: 1, 2, 3, 4"
    with pytest.raises(DataError, match=problem):
        data.train_dataloader()


def test_of_many_numbers_some_are_told(write: Write) -> None:
    folder = write(dict.fromkeys(range(0, 60, 2), 1))
    known = r"Known: 0, 2, 4, 6, 8, 10, 12, 14, 16, 18 and 20 more\.$"
    data = AutoDataModule(folder, preload=[1])
    with pytest.raises(DataError, match=known):
        data.train_dataloader()
    with pytest.raises(DataError, match=known):
        data.catalogs[Phase.TRAIN].shard(1)
    assert " 30: 0, 2, 4, 6, 8, 10, 12, 14, 16, 18 and 20 more\n" in data.describe()


def test_sizes_are_told_in_units_that_suit_them(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ShardStore(discover(write({1: 10})))
    monkeypatch.setattr(ShardStore, "set_bytes", lambda *_: 3 << 30)
    told = "`preload` has 1.5 MiB for 1 sets of 3 GiB: 0 sets, 0 B, are kept"
    with pytest.warns(UserWarning, match=told):
        Preloader("1.5 MiB").fill(store)

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from leyden.data import shelf as shelf_module
from leyden.data.shelf import OpenSet, Shelf
from leyden.errors import ShardError
from leyden.shards import Catalog, OpenPiece, discover
from leyden.shards.readers import NpyReader, base

ROWS, ROW_BYTES = 50, 8  # of each set that the fixtures write: float32, (2,)
SET_BYTES = ROWS * ROW_BYTES
AROUND = 1 << 16  # bytes that a touched row of a mapped file counts for, besides its own


@pytest.fixture
def mapped(write: Callable[..., Path]) -> Catalog:
    return discover(write(dict.fromkeys(range(1, 6), ROWS)))


@pytest.fixture
def loaded(tmp_path: Path) -> Catalog:
    """Sets whose files are read whole."""
    for number in range(1, 6):
        rows = np.full((ROWS, 2), number, np.float32)
        np.savez_compressed(tmp_path / f"a{number}.npz", rows)
    return discover(tmp_path)


def take(shelf: Shelf, catalog: Catalog, number: int, num_rows: int = 1) -> OpenSet:
    """Read rows as a store does."""
    opened = shelf.get(number, lambda: catalog.open_data(number))
    opened.read(np.arange(num_rows))
    shelf.count(opened, num_rows)
    shelf.tidy()
    return opened


def on(shelf: Shelf) -> list[int]:
    return [number for number in range(1, 6) if number in shelf]


def test_sets_that_were_not_used_for_longest_are_closed(loaded: Catalog) -> None:
    shelf = Shelf(limit=3 * SET_BYTES)
    for number in (1, 2, 3, 1, 4):  # 2 is the one that has waited longest
        take(shelf, loaded, number)
    assert on(shelf) == [1, 3, 4]
    assert (len(shelf), shelf.num_bytes) == (3, 3 * SET_BYTES)
    take(shelf, loaded, 5)
    assert on(shelf) == [1, 4, 5]


def test_nothing_is_closed_before_it_is_tidied(loaded: Catalog) -> None:
    shelf = Shelf(limit=SET_BYTES)
    opened = [shelf.get(n, lambda n=n: loaded.open_data(n)) for n in (1, 2, 3)]  # type: ignore[misc] # bound at once
    assert on(shelf) == [1, 2, 3]
    assert [each.read(np.array([0]))[0, 0] for each in opened] == [1, 2, 3]
    shelf.tidy()
    assert on(shelf) == [3]


def test_the_last_set_stays_however_large_it_is(loaded: Catalog) -> None:
    shelf = Shelf(limit=0)
    for number in (1, 2, 2, 3):
        take(shelf, loaded, number)
        assert (on(shelf), shelf.num_bytes) == ([number], SET_BYTES)


def test_a_set_is_opened_once_while_it_is_on_the_shelf(loaded: Catalog) -> None:
    shelf, calls = Shelf(limit=2 * SET_BYTES), []

    def opener() -> OpenPiece:
        calls.append(1)
        return loaded.open_data(1)

    assert shelf.get(1, opener) is shelf.get(1, opener)
    take(shelf, loaded, 2)
    assert len(calls) == 1
    take(shelf, loaded, 3)  # closes 1
    shelf.get(1, opener)
    assert len(calls) == 2


def test_mapped_sets_count_as_their_rows_are_read(mapped: Catalog) -> None:
    shelf = Shelf()
    opened = take(shelf, mapped, 1, 0)
    assert (shelf.num_bytes, opened.num_bytes) == (0, 0)
    take(shelf, mapped, 1)
    assert shelf.num_bytes == min(ROW_BYTES + AROUND, SET_BYTES) == SET_BYTES
    take(shelf, mapped, 1, 5)
    assert shelf.num_bytes == SET_BYTES  # there is no more of it
    take(shelf, mapped, 2)
    assert shelf.num_bytes == 2 * SET_BYTES


def test_long_rows_count_one_by_one(tmp_path: Path) -> None:
    np.save(tmp_path / "a1.npy", np.zeros((9, 50_000), np.float32))
    shelf, catalog = Shelf(), discover(tmp_path)
    for num_rows, counted in ((1, 1), (2, 3), (1, 4)):
        take(shelf, catalog, 1, num_rows)
        assert shelf.num_bytes == counted * (200_000 + AROUND)
    take(shelf, catalog, 1, 9)
    assert shelf.num_bytes == 9 * 200_000


def test_a_map_stays_when_its_memory_is_given_back(mapped: Catalog) -> None:
    shelf = Shelf(limit=2 * SET_BYTES)
    first = take(shelf, mapped, 1)
    take(shelf, mapped, 2)
    take(shelf, mapped, 3)
    assert (on(shelf), shelf.num_bytes) == ([2, 3], 2 * SET_BYTES)
    again = take(shelf, mapped, 1)
    assert again is first
    assert (on(shelf), shelf.num_bytes) == ([1, 3], 2 * SET_BYTES)
    assert again.read(np.array([2]))[0, 0] == mapped.open_data(1).read(np.array([2]))[0, 0]


def test_a_map_without_memory_is_checked_when_it_is_fetched(mapped: Catalog) -> None:
    shelf = Shelf(limit=SET_BYTES)
    take(shelf, mapped, 4)
    take(shelf, mapped, 5)
    path = mapped.shard(4).data.path
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ShardError, match=r"^Set 4: Expected \d+ bytes, as when it was found"):
        take(shelf, mapped, 4)


def test_a_map_that_holds_a_descriptor_counts_for_more_and_is_closed(
    mapped: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leyden.shards.pieces.LARGE", SET_BYTES)
    shelf = Shelf(limit=2 << 20)
    first = take(shelf, mapped, 1)
    for number in (2, 3):
        take(shelf, mapped, number)
    assert (on(shelf), shelf.num_bytes) == ([2, 3], 2 << 20)
    assert take(shelf, mapped, 1) is not first


def test_maps_are_limited_in_number_too(mapped: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf_module, "_MOST_SETS", 2)
    shelf = Shelf()
    first = take(shelf, mapped, 1)
    for number in (2, 3):
        take(shelf, mapped, number)
    assert on(shelf) == [2, 3]
    assert take(shelf, mapped, 1) is not first


def test_sets_that_are_read_row_by_row_count_nothing(
    write: Callable[..., Path], counting: Any
) -> None:
    catalog, shelf = discover(write({1: ROWS}), reader=counting), Shelf(limit=1)
    opened = take(shelf, catalog, 1, 3)
    assert (opened.array, opened.address, opened.num_bytes) == (None, 0, 0)
    assert opened.read(np.array([4, 2])).tolist() == [[1, 4], [1, 2]]


def test_rows_that_were_read_can_be_kept(mapped: Catalog) -> None:
    piece, rows = mapped.open_data(1), np.ones((3, 2), np.float32)
    kept = OpenSet.holding(piece, rows)
    assert kept.num_bytes == 24
    assert kept.read(np.array([2])).tolist() == [[1, 1]]


def test_a_set_on_the_shelf_is_checked_whenever_it_is_fetched(mapped: Catalog) -> None:
    shelf = Shelf()
    take(shelf, mapped, 4)
    path = mapped.shard(4).data.path
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ShardError, match=r"^Set 4: Expected \d+ bytes, as when it was found"):
        take(shelf, mapped, 4)


def resident(path: Path) -> int:
    """Bytes of a mapped file that are in memory for this process."""
    maps = psutil.Process().memory_maps()
    return sum(each.rss for each in maps if each.path == str(path))


@pytest.mark.skipif(not hasattr(psutil.Process, "memory_maps"), reason="The system does not tell.")
def test_large_maps_that_are_closed_leave_the_memory_and_can_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("leyden.shards.pieces", base.__name__):
        monkeypatch.setattr(f"{module}.LARGE", 1 << 20)
    rows = np.random.default_rng(0).integers(0, 255, (2, 512, 4096), np.uint8)
    for number, each in enumerate(rows, 1):
        np.save(tmp_path / f"a{number}.npy", each)
    catalog, shelf = discover(tmp_path), Shelf(limit=3 << 20)
    first = take(shelf, catalog, 1, 512)
    path = catalog.shard(1).data.path
    assert isinstance(catalog.open_data(1)._reader, NpyReader)
    assert resident(path) >= 2 << 20
    take(shelf, catalog, 2, 512)
    assert on(shelf) == [2]
    shelf.tidy()  # waits for the memory that was given back before
    assert resident(path) <= 3 * 4096  # of which single pages may be shared with what is kept
    assert np.array_equal(first.read(np.arange(512)), rows[0])

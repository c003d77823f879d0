import copy
import gc
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leyden.data import AutoDataModule
from leyden.data.gather import ShardStore
from leyden.data.picks import Picks
from leyden.data.readahead import ReadAhead
from leyden.data.shelf import Shelf
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


LENGTHS = {1: 3, 2: 5, 4: 1, 9: 4}


def mixed_store(
    factory: pytest.TempPathFactory, shelf: Shelf
) -> tuple[ShardStore, dict[int, Array]]:
    """Make a store of sets that are stored in ways of their own, but alike."""
    random = np.random.default_rng(0)
    arrays = {n: random.integers(-99, 99, (rows, 2, 3)) for n, rows in LENGTHS.items()}
    folder = factory.getbasetemp() / "mixed"
    if not folder.exists():
        folder.mkdir()
        np.save(folder / "a1.npy", arrays[1])
        np.save(folder / "a2.npy", np.asfortranarray(arrays[2]))
        np.save(folder / "a4.npy", arrays[4].astype(">i8"))
        np.save(folder / "a9.npy", arrays[9])
        np.savez(folder / "labels.npz", **{str(n): 10 * np.arange(r) for n, r in LENGTHS.items()})  # type: ignore[arg-type] # NumPy's annotation
    return ShardStore(discover(folder), shelf), arrays


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from([0, 100, 1 << 20]),
    st.lists(
        st.lists(
            st.sampled_from(sorted(LENGTHS)).flatmap(
                lambda n: st.tuples(st.just(n), st.integers(0, LENGTHS[n] - 1))
            ),
            min_size=1,
            max_size=12,
        ),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_rows_are_the_same_however_they_are_stored_and_however_little_stays_open(
    tmp_path_factory: pytest.TempPathFactory,
    limit: int,
    batches: list[list[tuple[int, int]]],
    preloads: bool,
) -> None:
    store, arrays = mixed_store(tmp_path_factory, Shelf(limit))
    for number in (2, 9) if preloads else ():
        store.preload(number)
    for wanted in batches:
        numbers, rows = zip(*wanted, strict=True)
        chosen = Picks.of(numbers, rows)
        expected = [arrays[number][row].tolist() for number, row in wanted]
        assert store.inputs(chosen)[""].tolist() == expected
        assert store.labels(chosen).tolist() == [10 * row for row in rows]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    limit=st.sampled_from([0, 100, 1 << 20]),
    small=st.sampled_from([0, 1 << 20]),
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    seed=st.integers(0, 99),
    preloads=st.booleans(),
)
def test_rows_that_are_read_part_by_part_are_those_that_are_read_at_once(
    tmp_path_factory: pytest.TempPathFactory,
    limit: int,
    small: int,
    sizes: list[int],
    seed: int,
    preloads: bool,
) -> None:
    store, arrays = mixed_store(tmp_path_factory, Shelf(limit))
    for number in (2, 9) if preloads else ():
        store.preload(number)
    random = np.random.default_rng(seed)
    numbers = random.choice(sorted(LENGTHS), sum(sizes))
    rows = [int(random.integers(LENGTHS[number])) for number in numbers.tolist()]
    wanted = Picks.of(numbers, rows)
    expected = np.stack([arrays[n][row] for n, row in zip(numbers.tolist(), rows, strict=True)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("leyden.data.gather._SMALL", small)
        inputs = list(store.input_parts(wanted, sizes)[""])
        labels = list(store.label_parts(wanted, sizes))
    assert [len(part) for part in inputs] == [len(part) for part in labels] == sizes
    assert np.array_equal(np.concatenate(inputs), expected)
    assert np.concatenate(labels).tolist() == [10 * row for row in rows]


def test_a_file_that_changes_between_parts_is_noticed_after_a_moment(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("leyden.data.gather.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("leyden.data.gather._SMALL", 0)
    store = ShardStore(discover(write({1: 4, 2: 4})))
    parts = store.input_parts(picks((1, [0, 3]), (2, [1, 2])), [1, 1, 1, 1])[""]
    assert next(parts).tolist() == [[1, 0]]
    store.catalog.shard(2).data.path.unlink()
    assert next(parts).tolist() == [[1, 3]]
    now[0] += 0.2
    with pytest.raises(ShardError, match="Set 2: Expected a readable file"):
        next(parts)


def test_open_files_are_checked_unless_all_were_a_moment_ago(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("leyden.data.gather.time.perf_counter", lambda: now[0])
    store = ShardStore(discover(write({1: 4})))
    read(store, (1, [0]))
    store.check()
    store.catalog.shard(1).data.path.unlink()
    assert read(store, (1, [2])).tolist() == [[1, 2]]
    now[0] += 0.2
    with pytest.raises(ShardError, match="Set 1: Expected a readable file"):
        read(store, (1, [2]))


def test_sets_that_alternate_beyond_the_limit_are_read_all_the_same(
    write: Callable[..., Path],
) -> None:
    shelf = Shelf(limit=100, stays=0)
    store = ShardStore(discover(write(dict.fromkeys(range(1, 6), 10))), shelf)  # 80 bytes each
    wanted = picks(*((number, [1, 2]) for number in range(1, 6)))
    for begin in (0, 0, 4, 2, 0):  # parts of one block, one right after the other
        part = wanted.part(begin, 10)
        assert (
            store.inputs(part)[""].tolist()
            == [[n, row] for n in range(1, 6) for row in (1, 2)][begin:]
        )
        assert len(shelf) == 1
        assert shelf.num_bytes <= 80  # what is no longer on the shelf does not count


def test_sets_that_were_closed_count_no_more(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        np.save(tmp_path / f"a{number}.npy", np.zeros((9, 50_000), np.float32))
    shelf = Shelf(limit=300_000, stays=0)  # of which a row takes up 200 kB, and some around it
    store = ShardStore(discover(tmp_path), shelf)
    wanted = picks(*((number, list(range(4))) for number in (1, 2, 3)))
    for begin in range(8):  # parts of one block, one right after the other
        store.inputs(wanted.part(begin, begin + 5))
    read(store, (1, [0]))
    assert shelf.num_bytes <= 300_000


def test_stores_share_a_shelf(write: Callable[..., Path], tmp_path: Path) -> None:
    shelf = Shelf(limit=100, stays=0)
    stores = [ShardStore(discover(write({1: 10}, name)), shelf) for name in ("one", "other")]
    for store in stores:
        assert read(store, (1, [3])).tolist() == [[1, 3]]
        assert len(shelf) == 1


@pytest.mark.parametrize("is_preloaded", [False, True])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_store_can_be_copied_wherever_its_rows_are(
    write: Callable[..., Path], copied: Callable[[ShardStore], ShardStore], is_preloaded: bool
) -> None:
    store = ShardStore(discover(write({1: 50_000, 2: 50_000}, labels=True)))
    if is_preloaded:
        store.preload(2)
    wanted = (2, [7, 49_999]), (1, [3])
    expected = [[2, 7], [2, 49_999], [1, 3]]
    assert read(store, *wanted).tolist() == expected
    store.read_ahead([1, 2])
    other = copied(store)
    del store
    gc.collect()
    assert read(other, *wanted).tolist() == expected
    assert other.labels(picks(*wanted)).tolist() == [70, 499_990, 30]


def test_small_mapped_files_stay_open_as_long_as_they_are_small_all_together(
    write: Callable[..., Path],
) -> None:
    shelf = Shelf(limit=100, stays=400)  # a set takes up 80 bytes
    catalog = discover(write(dict.fromkeys(range(1, 6), 10)))
    wanted = picks(*((number, [1, 2]) for number in range(1, 6)))
    store = ShardStore(catalog, shelf)
    store.inputs(wanted)
    assert (len(shelf), shelf.num_bytes) == (5, 400)
    ShardStore(discover(write({1: 1}, "others")), shelf)  # 8 bytes too many
    store.inputs(wanted)
    assert len(shelf) == 1
    assert shelf.num_bytes <= 100


def test_small_files_that_are_read_whole_are_closed(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        np.savez_compressed(tmp_path / f"a{number}.npz", np.full((10, 2), number, np.float32))
    shelf = Shelf(limit=100, stays=1000)
    store = ShardStore(discover(tmp_path), shelf)
    for number in (1, 2, 3):
        assert read(store, (number, [4])).tolist() == [[number, number]]
    assert (len(shelf), shelf.num_bytes) == (1, 80)


def test_a_set_in_memory_is_not_read_again(write: Callable[..., Path], counting: Any) -> None:
    store = ShardStore(discover(write({1: 3, 2: 3}), reader=counting))
    store.preload(2)
    counting.read_rows.clear()
    assert read(store, (2, [2]), (1, [0])).tolist() == [[2, 2], [1, 0]]
    assert counting.read_rows == [("sample__1.npy", 0)]


class TurnedReader:
    """Gives rows in memory, but not in the order of their axes."""

    def __init__(self, path: Path) -> None:
        self._rows = np.load(path)
        self.shape, self.dtype = self._rows.shape, self._rows.dtype

    def read(self, rows: Array) -> Array:
        return np.asfortranarray(self._rows[rows])


def test_what_a_reader_gives_is_kept_in_the_order_of_its_axes(write: Callable[..., Path]) -> None:
    store = ShardStore(discover(write({1: 3, 2: 4}), reader=TurnedReader))
    wanted = ((2, [3, 0]), (1, [1]))
    before = read(store, *wanted).tolist()
    for number in (1, 2):
        store.preload(number)
    assert read(store, *wanted).tolist() == before == [[2, 3], [2, 0], [1, 1]]


def test_several_inputs_are_read_by_name(tmp_path: Path) -> None:
    for number, rows in ((1, 2), (2, 3)):
        image = np.arange(rows * 4, dtype=np.uint8).reshape(rows, 2, 2) + 100 * number
        np.savez(tmp_path / f"a{number}.npz", image=image, meta=np.arange(rows) + number)
    store = ShardStore(discover(tmp_path, inputs=["image", "meta"]))
    found = store.inputs(picks((2, [2, 0]), (1, [1])))
    assert {name: rows.tolist() for name, rows in found.items()} == {
        "image": [[[208, 209], [210, 211]], [[200, 201], [202, 203]], [[104, 105], [106, 107]]],
        "meta": [4, 2, 2],
    }
    assert store.has_fields
    assert (store.row_bytes, store.set_bytes(2)) == (4 + 8, 3 * 12)
    for name in ("image", "meta"):
        assert not store._inputs[name].has(7)
    store.preload(2)
    assert store.inputs(picks((2, [1])))["meta"].tolist() == [3]


def test_only_sets_that_are_not_open_are_read_ahead(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(ReadAhead, "ask", lambda _, paths: asked.extend(p.name for p in paths))
    store = ShardStore(discover(write(dict.fromkeys((1, 2, 3, 4), 2))))
    read(store, (2, [0]))
    store.preload(3)
    store.read_ahead([4, 3, 2, 1])
    assert asked == ["sample__4.npy", "sample__1.npy"]


def test_parts_of_one_file_are_not_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(ReadAhead, "ask", lambda _, paths: asked.extend(paths))
    np.save(tmp_path / "all.npy", np.zeros((6, 2)))
    ShardStore(discover(tmp_path / "all.npy", rows_per_set=2)).read_ahead([1, 2])
    assert asked == []


def test_files_are_checked_twice_a_second(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("leyden.data.gather.time.perf_counter", lambda: now[0])
    folder = write({1: 2, 2: 2})
    batches = iter(AutoDataModule(folder, batch_size=1, shuffle="none").train_dataloader())
    next(batches)
    (folder / "sample__2.npy").unlink()
    now[0] += 0.49
    next(batches)
    now[0] += 0.2
    with pytest.raises(ShardError, match="Set 2: Expected a readable file"):
        next(batches)


def test_files_of_the_validation_are_checked_during_training(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("leyden.data.gather.time.perf_counter", lambda: now[0])
    folder = write({1: 2, 2: 2, 3: 2, 4: 2})
    data = AutoDataModule(folder, batch_size=1, train=[1, 2], val=[3], test=[4])
    batches = iter(data.train_dataloader())
    next(batches)
    (folder / "sample__4.npy").unlink()  # which training has no use for
    now[0] += 0.6
    next(batches)
    (folder / "sample__3.npy").unlink()
    now[0] += 0.6
    with pytest.raises(ShardError, match=r"^Set 3: .*sample__3.npy\)") as caught:
        next(batches)
    assert caught.value.__notes__ == ["while checking the shards of `val`"]
    with pytest.raises(ShardError, match=r"^Set 4: "):
        next(iter(data.test_dataloader()))


def test_data_is_open_once_all_of_it_was_read_and_it_may_stay(write: Callable[..., Path]) -> None:
    catalog = discover(write({1: 2, 2: 2, 3: 2}))
    small, large = ShardStore(catalog), ShardStore(catalog, Shelf(stays=47))
    for store in (small, large):
        read(store, (1, [0]), (2, [0]))
        assert not store.is_open
        read(store, (3, [0]))
    assert small.is_open
    assert not large.is_open

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from os import truncate, utime
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

import numpy as np
import pytest

from leyden.errors import DataError, ShardError
from leyden.shards import Catalog, discover
from leyden.shards.readers import NpyReader
from leyden.types import Array

Write: TypeAlias = Callable[[Mapping[str, object]], Path]

LABELS = {"3": [0, 4], "5": [1, 1, 2], "6": [0]}


@pytest.fixture
def catalog(write: Write) -> Catalog:
    return discover(write({"a3.npy": 2, "a5.npy": 3, "a6.npy": 1, "labels.npz": LABELS}))


def test_a_catalogue_tells_what_its_rows_look_like(catalog: Catalog) -> None:
    assert catalog.set_numbers == (3, 5, 6)
    assert catalog.lengths == {3: 2, 5: 3, 6: 1}
    assert (catalog.num_samples, catalog.sample_shape) == (6, (2,))
    assert catalog.dtype == np.dtype(np.float32)
    assert (catalog.has_labels, catalog.label_shape, catalog.num_classes) == (True, (), 5)
    assert catalog.label_dtype == np.dtype(np.int64)
    assert catalog.shard(5).num_rows == 3


def test_rows_and_labels_are_read_in_any_order(catalog: Catalog) -> None:
    rows = np.array([2, 0, 2])
    assert catalog.open_data(5).read(rows).tolist() == [[4, 5], [0, 1], [4, 5]]
    assert catalog.open_labels(5).read(rows).tolist() == [2, 1, 2]
    assert catalog.read_labels(3).tolist() == [0, 4]


def test_a_catalogue_survives_the_way_to_a_worker(catalog: Catalog) -> None:
    copy = pickle.loads(pickle.dumps(catalog))
    assert (copy, copy.fingerprint) == (catalog, catalog.fingerprint)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.array([0, 2], np.int64), 3),
        (np.array([0, 200], np.uint8), 201),
        (np.array([-1, 1], np.int8), 2),
        (np.array([-1, -1]), 0),
        (np.array([False, False]), 2),
        (np.array([True, False]), 2),
        (np.array([[0, 7], [3, 1]]), 8),
        (np.zeros((2, 0), np.int64), 0),
        (np.array([0.0, 2.0]), None),
        (np.array([0j, 1j]), None),
    ],
)
def test_classes_are_counted_where_labels_are_whole_numbers(
    write: Write, labels: Array, expected: int | None
) -> None:
    assert discover(write({"a1.npy": 2, "labels.npy": labels})).num_classes == expected


def test_without_labels_there_are_no_classes(write: Write) -> None:
    catalog = discover(write({"a1.npy": 2}))
    assert (catalog.has_labels, catalog.num_classes) == (False, None)


def test_inputs_that_serve_as_labels_are_no_classes(write: Write) -> None:
    catalog = discover(write({"a1.npy": np.zeros((2, 3), np.uint8)}), labels="inputs")
    assert (catalog.has_labels, catalog.num_classes) == (True, None)


def test_labels_that_are_not_there_cannot_be_opened(write: Write) -> None:
    with pytest.raises(DataError, match=r"Expected labels for .*d, but none were found"):
        discover(write({"a1.npy": 2})).open_labels(1)


def test_an_unknown_set_number_is_refused_with_those_there_are(catalog: Catalog) -> None:
    with pytest.raises(DataError, match=r"a set number of .*d, but got 4\. Known: 3, 5-6\."):
        catalog.shard(4)
    with pytest.raises(DataError, match=r"but got 4\. Known: 3, 5-6\."):
        catalog.select([3, 4])


def test_select_keeps_sets_in_ascending_order(catalog: Catalog) -> None:
    kept = catalog.select([6, 3, 6])
    assert (kept.set_numbers, kept.num_samples) == ((3, 6), 3)
    assert (kept.sample_shape, kept.path) == (catalog.sample_shape, catalog.path)
    assert kept.fingerprint != catalog.fingerprint


def test_select_keeps_at_least_one_set(catalog: Catalog) -> None:
    with pytest.raises(DataError, match=r"at least one set of .* to be kept, but got none"):
        catalog.select([])


@pytest.mark.parametrize("count", [int, np.int64])
def test_whole_numbers_may_be_those_of_numpy(write: Write, count: Callable[[int], int]) -> None:
    class Counted(NpyReader):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            self.shape = tuple(count(size) for size in self.shape)

    path = write({"all.npy": np.zeros((7, 3))}) / "all.npy"
    catalog = discover(path, reader=Counted, rows_per_set=count(4))
    assert catalog.fingerprint == discover(path, rows_per_set=4).fingerprint
    assert json.dumps([catalog.lengths, catalog.sample_shape]) == '[{"1": 4, "2": 3}, [3]]'


def test_the_fingerprint_does_not_depend_on_the_place(write: Write, catalog: Catalog) -> None:
    moved = catalog.path.rename(catalog.path.with_name("e"))
    assert discover(moved).fingerprint == catalog.fingerprint
    assert len(catalog.fingerprint) == 16


@pytest.mark.parametrize(
    "files",
    [
        {"b1.npy": 2, "labels.npy": [0, 1]},
        {"a2.npy": 2, "labels.npy": [0, 1]},
        {"a1.npy": 3, "labels.npy": [0, 1, 0]},
        {"a1.npy": 2, "a2.npy": 2, "labels.npy": [0, 1, 0, 1]},
        {"a1.npy": np.zeros((2, 2)), "labels.npy": [0, 1]},
        {"a1.npy": np.zeros((2, 3), np.float32), "labels.npy": [0, 1]},
        {"a1.npy": 2, "labels.npy": [0.0, 1.0]},
        {"a1.npy": 2, "labels.npy": [[0], [1]]},
        {"a1.npy": 2},
    ],
)
def test_the_fingerprint_depends_on_the_make(write: Write, files: Mapping[str, object]) -> None:
    folder = write({"a1.npy": 2, "labels.npy": [0, 1]})
    before = discover(folder).fingerprint
    for path in folder.iterdir():
        path.unlink()
    assert discover(write(files)).fingerprint != before


def test_describe_tells_what_was_inferred(write: Write) -> None:
    numbers = (1, 2, 3, 7)
    labels = {str(number): [0, 9] for number in numbers}
    folder = write({f"ecg_{n:02}.npy": 2 for n in numbers} | {"labels.npz": labels, "notes.md": ""})
    catalog = discover(folder)
    assert catalog.describe().splitlines() == [
        f"path         {folder}",
        "shards       ecg_<number>.npy",
        "labels from  the file labels.npz",
        "left out     notes.md",
        "sets         4: 1-3, 7",
        "rows         8 (2 in a set)",
        "sample       float32 (2,)",
        "label        int64 (), 10 classes",
        f"fingerprint  {catalog.fingerprint}",
    ]


def test_describe_tells_what_is_missing(write: Write) -> None:
    lines = discover(write({"a1.npy": 1500, "a2.npy": 20})).describe().splitlines()
    assert "labels from  nowhere: none found" in lines
    assert "rows         1,520 (20 to 1500 in a set)" in lines
    assert "label        none" in lines


def test_describe_tells_of_labels_that_are_no_classes(write: Write) -> None:
    catalog = discover(write({"a1.npy": 2, "labels.npy": [[0.5], [1.5]]}))
    assert "label        float64 (1,)" in catalog.describe().splitlines()


def test_a_catalogue_of_files_that_are_what_they_were_is_in_order(catalog: Catalog) -> None:
    catalog.check()
    catalog.select([5]).check()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (Path.unlink, "Expected a readable file, but got: No such file or directory"),
        (lambda path: truncate(path, 150), "Expected 152 bytes, as when it was found, but got 150"),
        (lambda path: utime(path, ns=(0, 0)), "the file that was found, but it has been written"),
    ],
)
def test_a_changed_file_is_found_without_reading(
    catalog: Catalog, change: Callable[[Path], None], problem: str
) -> None:
    change(catalog.path / "a5.npy")
    with pytest.raises(ShardError, match=rf"^Set 5: .*{problem}.*\(.*a5\.npy\)$") as caught:
        catalog.check()
    assert (caught.value.set_number, caught.value.path) == (5, catalog.path / "a5.npy")
    catalog.select([3, 6]).check()  # the others are in order


def test_a_changed_file_of_labels_is_found_at_its_first_set(catalog: Catalog) -> None:
    (catalog.path / "labels.npz").unlink()
    with pytest.raises(ShardError, match=r"^Set 3: .*No such file .*\(.*labels\.npz\)$"):
        catalog.check()


def test_sets_of_unknown_files_are_in_order(catalog: Catalog) -> None:
    shards = tuple(
        replace(s, data=replace(s.data, state=None), labels=None) for s in catalog.shards
    )
    (catalog.path / "a5.npy").unlink()
    replace(catalog, shards=shards).check()


@pytest.mark.slow
def test_ten_thousand_shards_are_catalogued_and_checked_in_seconds(tmp_path: Path) -> None:
    content = BytesIO()
    np.save(content, np.zeros((32, 8), np.float32))
    for number in range(10_000):
        (tmp_path / f"a{number}.npy").write_bytes(content.getvalue())
    start = perf_counter()
    catalog = discover(tmp_path)
    catalog.check()
    assert perf_counter() - start < 5
    assert catalog.num_samples == 320_000

import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from leyden.errors import DataError, ShardError
from leyden.shards import Catalog, OpenPiece, Piece, discover
from leyden.shards.catalog import measure
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


def delete(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


def lengthen(path: Path) -> None:
    np.save(path, np.zeros((4, 2), np.float32))


def shorten(path: Path) -> None:
    np.save(path, np.zeros((2, 2), np.float32))


def widen(path: Path) -> None:
    np.save(path, np.zeros((3, 3), np.float32))


def retype(path: Path) -> None:
    np.save(path, np.zeros((3, 2), np.int32))


def spoil(path: Path) -> None:
    path.write_bytes(b"garbage")


CHANGED = r"Expected float32 \(3, 2\), as it was when it was found, but got "


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (delete, "Expected a readable file, but got: No such file or directory"),
        (truncate, r"Expected 152 bytes, as the header says, but got 148: truncated"),
        (spoil, r"Expected a \.npy header, but got"),
        (lengthen, rf"{CHANGED}float32 \(4, 2\)\. The file has changed: discover"),
        (shorten, rf"{CHANGED}float32 \(2, 2\)\. The file has changed: discover"),
        (widen, rf"{CHANGED}float32 \(3, 3\)\. The file has changed: discover"),
        (retype, rf"{CHANGED}int32 \(3, 2\)\. The file has changed: discover"),
    ],
)
def test_a_shard_that_changes_after_discovery_is_refused(
    catalog: Catalog, change: Callable[[Path], None], problem: str
) -> None:
    change(catalog.path / "a5.npy")
    with pytest.raises(ShardError, match=rf"^Set 5: {problem}.* \(.*a5\.npy\)$") as caught:
        catalog.open_data(5)
    assert (caught.value.set_number, caught.value.path) == (5, catalog.path / "a5.npy")
    assert len(catalog.open_data(3).read(np.arange(2))) == 2  # the others can still be read


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ({"3": [0, 4], "5": [1, 1]}, r"Expected int64 \(3,\), .* but got int64 \(2,\)\."),
        ({"3": [0, 4]}, r"Expected an array '5'\. Known: 3\."),
    ],
)
def test_labels_that_change_after_discovery_are_refused(
    write: Write, catalog: Catalog, labels: dict[str, object], problem: str
) -> None:
    write({"labels.npz": labels})
    with pytest.raises(ShardError, match=rf"^Set 5: {problem}.*\(.*labels\.npz\)$"):
        catalog.read_labels(5)


def test_aligned_labels_that_change_after_discovery_are_refused(write: Write) -> None:
    catalog = discover(write({"a1.npy": 2, "a2.npy": 3, "labels.npy": [0, 1, 2, 3, 4]}))
    write({"labels.npy": [9, 0, 1, 2, 3, 4]})
    with pytest.raises(ShardError, match=r"^Set 1: .*int64 \(5,\).* but got int64 \(6,\)"):
        catalog.read_labels(1)


def test_a_table_that_changes_after_discovery_is_refused(write: Write) -> None:
    catalog = discover(write({"a1.csv": "u,v\n1,2\n"}))
    write({"a1.csv": "u,w\n1,2\n"})
    with pytest.raises(ShardError, match=r"^Set 1: .*a column 'v'.*Known: u, w\. \(.*a1\.csv\)$"):
        catalog.open_data(1)


def test_damage_behind_the_header_is_refused_when_read(write: Write) -> None:
    folder = write({"a1.npz": {"x": np.random.default_rng(0).integers(0, 9, 2000)}})
    content = bytearray((folder / "a1.npz").read_bytes())
    content[8000:8008] = b"\xff" * 8
    write({"a1.npz": bytes(content)})
    opened = discover(folder).open_data(1)
    with pytest.raises(ShardError, match=r"^Set 1: Expected an intact file.*\(.*a1\.npz\)$"):
        opened.read(np.array([0]))


class FailsLater:
    """A reader that opens but cannot be read."""

    shape, dtype = (2, 3), np.dtype(np.float32)

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, rows: Array) -> Array:
        raise OSError(5, "Input/output error")


def test_a_reader_that_fails_later_names_the_set(write: Write) -> None:
    catalog = discover(write({"a1.dat": ""}), reader=FailsLater)
    with pytest.raises(ShardError, match=r"^Set 1: .*got: Input/output error\. \(.*a1\.dat\)$"):
        catalog.open_data(1).read(np.array([0]))


def test_a_piece_of_unknown_make_is_opened_as_it_is(write: Write) -> None:
    path = write({"a1.npy": 3}) / "a1.npy"
    piece = OpenPiece(Piece(path, num_rows=2, start=1), set_number=1)
    assert piece.read(np.array([1, 0])).tolist() == [[4, 5], [2, 3]]


def test_a_piece_stored_set_by_set_counts_rows_within_its_set(write: Write) -> None:
    path = write({"all.npy": np.arange(12).reshape(3, 2, 2)}) / "all.npy"
    piece = replace(measure(path), num_rows=2, start=4, by_set=True)
    assert piece.row_shape == (2,)
    assert OpenPiece(piece, 3).read(np.array([1])).tolist() == [[10, 11]]

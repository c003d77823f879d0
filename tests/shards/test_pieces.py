from collections.abc import Callable, Mapping
from dataclasses import replace
from os import utime
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from leyden.errors import ShardError
from leyden.shards import Catalog, OpenPiece, Piece, discover
from leyden.shards.pieces import _open_shared, measure
from leyden.types import Array

Write: TypeAlias = Callable[[Mapping[str, object]], Path]

LABELS = {"3": [0, 4], "5": [1, 1, 2], "6": [0]}


@pytest.fixture
def catalog(write: Write) -> Catalog:
    return discover(write({"a3.npy": 2, "a5.npy": 3, "a6.npy": 1, "labels.npz": LABELS}))


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


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (delete, "Expected a readable file, but got: No such file or directory"),
        (truncate, "Expected 152 bytes, as when it was found, but got 148. The file has changed"),
        (lengthen, "Expected 152 bytes, as when it was found, but got 160. The file has changed"),
        (retype, "Expected the file that was found, but it has been written since. The file"),
    ],
)
def test_a_shard_that_changes_while_it_is_open_is_refused(
    catalog: Catalog, change: Callable[[Path], None], problem: str
) -> None:
    opened = catalog.open_data(5)
    opened.read(np.array([0]))
    change(catalog.path / "a5.npy")
    with pytest.raises(ShardError, match=rf"^Set 5: {problem}.*\(.*a5\.npy\)$"):
        opened.read(np.array([0]))


def test_a_shard_that_was_written_again_is_refused(catalog: Catalog) -> None:
    path = catalog.path / "a5.npy"
    path.write_bytes(path.read_bytes())
    utime(path, ns=(0, 0))
    with pytest.raises(ShardError, match=r"^Set 5: .* found, but it has been written since"):
        catalog.open_data(5).read(np.array([0]))


def test_parts_of_one_array_are_read_from_one_reader(write: Write) -> None:
    folder = write({"all.csv": "u,y\n" + "".join(f"{i},{i % 2}\n" for i in range(100))})
    catalog = discover(folder / "all.csv", rows_per_set=10)
    _open_shared.cache_clear()
    rows = [catalog.open_data(n).read(np.arange(10))[:, 0] for n in catalog.set_numbers]
    labels = [catalog.read_labels(n) for n in catalog.set_numbers]
    assert np.concatenate(rows).tolist() == list(range(100))
    assert np.concatenate(labels).tolist() == [0, 1] * 50
    assert _open_shared.cache_info().misses == 2


class Opener:
    """Opens a file, and cannot be told from its like."""

    __hash__ = None  # type: ignore[assignment] # as of a data class

    def __call__(self, path: Path) -> FailsLater:
        return FailsLater(path)


def test_a_reader_that_has_no_hash_is_used_all_the_same(write: Write) -> None:
    catalog = discover(write({"all.dat": ""}) / "all.dat", reader=Opener(), rows_per_set=1)
    assert catalog.set_numbers == (1, 2)
    with pytest.raises(ShardError, match=r"^Set 2: .*got: Input/output error"):
        catalog.open_data(2).read(np.array([0]))

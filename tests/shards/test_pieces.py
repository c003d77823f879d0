from collections.abc import Callable, Mapping
from dataclasses import replace
from os import utime
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from typing_extensions import override

from leyden.errors import ShardError
from leyden.shards import Catalog, OpenPiece, Piece, discover
from leyden.shards.pieces import _open_shared, measure
from leyden.shards.readers import ArrayReader, NpyReader
from leyden.types import Array, Rows

Patch: TypeAlias = pytest.MonkeyPatch
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

    def __init__(self, path: Path, error: Exception | None = None) -> None:
        self._path, self._error = path, error or OSError(5, "Input/output error")

    def read(self, rows: Array) -> Array:
        raise self._error


def test_a_reader_that_fails_later_names_the_set(write: Write) -> None:
    catalog = discover(write({"a1.dat": ""}), reader=FailsLater)
    with pytest.raises(ShardError, match=r"^Set 1: .*got: Input/output error\. \(.*a1\.dat\)$"):
        catalog.open_data(1).read(np.array([0]))


@pytest.mark.parametrize("error", [TypeError("boom"), AssertionError("boom"), Exception("boom")])
def test_whatever_a_reader_of_ones_own_raises_names_the_set(
    write: Write, error: Exception, monkeypatch: Patch
) -> None:
    kind = type(error).__name__
    expected = (
        rf"^Set 1: Expected a file that its reader can read, but .* {kind}: boom\. \(.*a1\.dat"
    )
    folder = write({"a1.dat": ""})
    catalog = discover(folder, reader=lambda path: FailsLater(path, error))
    with pytest.raises(ShardError, match=expected) as caught:
        catalog.open_data(1).read(np.array([0]))
    assert caught.value.__cause__ is error
    monkeypatch.setattr(FailsLater, "shape", property(lambda self: self.read([])))
    with pytest.raises(ShardError, match=expected) as caught:
        discover(folder, reader=lambda path: FailsLater(path, error))
    assert caught.value.__cause__ is error


def test_what_goes_wrong_in_a_reader_of_leydens_is_not_put_down_to_the_file(
    write: Write, monkeypatch: Patch
) -> None:
    def slip(_reader: ArrayReader, _rows: Rows) -> Array:
        raise TypeError("a slip of leyden's")

    opened = discover(write({"a1.npy": 3})).open_data(1)
    monkeypatch.setattr(ArrayReader, "read", slip)
    with pytest.raises(TypeError, match="a slip of leyden's"):
        opened.read(np.array([0]))


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


ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)


def test_an_array_is_all_rows_of_a_set_not_to_be_written_to(write: Write) -> None:
    piece = discover(write({"a1.npy": ROWS})).open_data(1)
    array = piece.array
    assert array is not None
    assert (array.tolist(), piece.num_rows) == (ROWS.tolist(), 6)
    assert array.dtype == np.float32
    assert piece.array is array
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_arrays_of_other_orders_are_read_row_by_row(write: Write) -> None:
    for stored in (np.asfortranarray(ROWS), ROWS.astype(">f4")):
        folder = write({})
        np.save(folder / "a1.npy", stored)
        piece = discover(folder).open_data(1)
        assert piece.array is None
        assert piece.read(np.array([4, 0])).tolist() == [[8, 9], [0, 1]]
        piece.unload()  # of which there is nothing to do


def test_a_reader_that_does_more_than_take_rows_is_asked_for_each(write: Write) -> None:
    class Doubled(NpyReader):
        @override
        def read(self, rows: Array) -> Array:
            return 2 * super().read(rows)

    piece = discover(write({"a1.npy": ROWS}), reader=Doubled).open_data(1)
    assert piece.array is None
    assert piece.read(np.array([1])).tolist() == [[4, 6]]


def test_the_array_of_a_part_is_its_stretch_of_the_file(write: Write) -> None:
    folder = write({"all.npy": ROWS, "sets.npy": ROWS.reshape(3, 2, 2)})
    parts = discover(folder / "all.npy", rows_per_set=4)
    found = [parts.open_data(number).array for number in parts.set_numbers]
    assert [array.tolist() for array in found if array is not None] == [
        ROWS[:4].tolist(),
        ROWS[4:].tolist(),
    ]
    by_set = discover(folder / "sets.npy", leading_axis="sets")
    last = by_set.open_data(by_set.set_numbers[-1]).array
    assert last is not None
    assert last.tolist() == ROWS[4:].tolist()


def test_only_files_that_are_mapped_are_said_to_be(write: Write, monkeypatch: Patch) -> None:
    folder = write({"a/b1.npy": ROWS, "c/d1.npz": {"x": ROWS}, "e/f1.csv": "u,v\n1,2\n"})
    pieces = [discover(folder / name).open_data(1) for name in ("a", "c", "e")]
    assert [piece.is_mapped for piece in pieces] == [True, False, False]
    assert [piece.has_descriptor for piece in pieces] == [False] * 3
    monkeypatch.setattr("leyden.shards.pieces.LARGE", 100)
    assert [piece.has_descriptor for piece in pieces] == [True, False, False]
    for piece in pieces:
        before = piece.read(np.array([0])).tolist()
        piece.unload()
        assert piece.read(np.array([0])).tolist() == before


@pytest.mark.parametrize("ask", [OpenPiece.check, lambda piece: piece.array])
def test_an_open_set_whose_file_changed_says_so(
    catalog: Catalog, ask: Callable[[OpenPiece], object]
) -> None:
    piece = catalog.open_data(5)
    piece.check()
    truncate(catalog.path / "a5.npy")
    problem = (
        r"^Set 5: Expected 152 bytes, as when it was found, but got 148\. The file has changed"
    )
    with pytest.raises(ShardError, match=problem) as caught:
        ask(piece)
    assert caught.value.path == catalog.path / "a5.npy"


def test_a_piece_of_unknown_state_is_taken_as_it_is(write: Write) -> None:
    path = write({"a1.npy": 3}) / "a1.npy"
    piece = OpenPiece(Piece(path, num_rows=3), set_number=1)
    piece.check()
    assert piece.array is not None
    assert not piece.has_descriptor


class Announced:
    """A file of which one thing is announced, and another read."""

    shape, dtype = (3, 2), np.dtype(np.float32)

    def __init__(self, read: object) -> None:
        self._read = read

    def read(self, _rows: Rows) -> Array:
        return self._read  # type: ignore[return-value] # also what is wrong


@pytest.mark.parametrize("read", [np.zeros((1, 2), np.float32), np.zeros(2), np.ones((2, 2), "c8")])
def test_a_reader_reads_what_it_announced(tmp_path: Path, read: Array) -> None:
    (tmp_path / "a1.dat").touch()
    catalog = discover(tmp_path, reader=lambda _: Announced(read))
    expected = r"Set 1: Expected float32 \(2, 2\), as its reader announced, but got .*a1\.dat\)"
    with pytest.raises(ShardError, match=expected):
        catalog.open_data(1).read(np.array([0, 1]))


@pytest.mark.parametrize("read", [[[0, 1.5], [2, 3]], np.array([[0, 1.5], [2, 3]], ">f4")])
def test_what_a_reader_reads_is_of_the_dtype_it_announced(tmp_path: Path, read: object) -> None:
    (tmp_path / "a1.dat").touch()
    catalog = discover(tmp_path, reader=lambda _: Announced(read))
    rows = catalog.open_data(1).read(np.array([0, 1]))
    assert (rows.dtype, rows.tolist()) == (np.dtype("=f4"), [[0, 1.5], [2, 3]])

from pathlib import Path

import numpy as np
import pytest

from leyden.errors import ShardError
from leyden.shards.readers.npy import NpyReader
from leyden.shards.readers.npz import NpzReader
from leyden.types import Array


def test_npy_objects_are_never_unpickled(tmp_path: Path, trap: Array) -> None:
    del trap
    with pytest.raises(ShardError, match=r"but got Python objects.*numeric dtype\. \(.*trap\.npy"):
        NpyReader(tmp_path / "trap.npy")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("array", [np.zeros(2, "i4,f4"), np.zeros(2, "M8[s]")])
def test_what_is_no_number_is_refused(tmp_path: Path, array: Array) -> None:
    np.save(tmp_path / "a1.npy", array)
    with pytest.raises(ShardError, match=r"Expected numbers, but got .*Encode them first"):
        NpyReader(tmp_path / "a1.npy")


def test_a_truncated_npy_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a1.npy"
    np.save(path, np.zeros((10, 3)))  # 128 bytes of header, 240 of numbers
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ShardError, match=r"Expected 368 bytes, .* but got 367: truncated.*a1\.npy"):
        NpyReader(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x93NUMPY", b"\x92NUMPY"),
        (b"(3,), }", b"(3,(   "),
        (b"'shape'", b"[1]    "),
        (b"{'descr'", b"{{}:1,  "),
        (b"'<f8'", b"'<q8'"),
        (b"(3,), } ", b"(-3,), }"),
        (b"(3,), }", b"3   , }"),
    ],
)
def test_a_damaged_npy_header_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = tmp_path / "a1.npy"
    np.save(path, np.zeros(3))
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    with pytest.raises(ShardError, match=r"Expected a \.npy header, but got"):
        NpyReader(path)


@pytest.mark.parametrize("size", [0, 4, 9, 60])
def test_an_npy_file_that_ends_within_its_header_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a1.npy"
    np.save(path, np.zeros(3))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ShardError, match=r"Expected a \.npy header, but got"):
        NpyReader(path)


def test_rows_are_copies_in_memory_of_their_own(tmp_path: Path) -> None:
    np.save(tmp_path / "a1.npy", np.arange(6).reshape(3, 2))
    reader = NpyReader(tmp_path / "a1.npy")
    first = reader.read(np.array([2, 0]))
    first[:] = -1
    assert type(first) is np.ndarray
    assert reader.read(np.array([2, 0])).tolist() == [[4, 5], [0, 1]]


def test_empty_arrays_can_be_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a1.npy", np.zeros((0, 4), np.float32))
    reader = NpyReader(tmp_path / "a1.npy")
    assert (reader.shape, reader.read(np.array([], np.intp)).shape) == ((0, 4), (0, 4))


def test_foreign_byte_order_becomes_native(tmp_path: Path) -> None:
    array = np.array([1.5, -2.0], ">f4")
    np.save(tmp_path / "a1.npy", array)
    np.savez(tmp_path / "a1.npz", array)
    for reader in (NpyReader(tmp_path / "a1.npy"), NpzReader(tmp_path / "a1.npz")):
        rows = reader.read(np.array([1, 0]))
        assert (reader.dtype.isnative, rows.dtype.isnative) == (True, True)
        assert rows.tolist() == [-2.0, 1.5]

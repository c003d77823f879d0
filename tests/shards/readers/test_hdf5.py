from pathlib import Path

import numpy as np
import pytest

from leyden.errors import ShardError
from leyden.shards.readers.base import reading
from leyden.shards.readers.hdf5 import Hdf5Reader, _list_datasets, hdf5_keys
from leyden.types import Array

h5py = pytest.importorskip("h5py")

ROWS = np.arange(30, dtype=np.float32).reshape(10, 3)


@pytest.mark.parametrize("userblock", [0, 512])
def test_an_array_in_one_piece_is_mapped(tmp_path: Path, userblock: int) -> None:
    path = tmp_path / "a1.h5"
    with h5py.File(path, "w", userblock_size=userblock) as file:
        file["x"] = ROWS
    reader = Hdf5Reader(path)
    assert reader.is_mapped
    np.testing.assert_array_equal(reader.read(np.array([9, 0])), ROWS[[9, 0]])


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (2, 3)},
        {"chunks": (5, 1), "compression": "lzf"},
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
    ],
)
def test_other_arrays_are_read_whole_and_once(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "a1.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=ROWS, **options)
    reader = Hdf5Reader(path)
    np.testing.assert_array_equal(reader.read(np.array([9, 0, 9])), ROWS[[9, 0, 9]])
    assert reader.array is reader.array


@pytest.mark.parametrize("userblock", [0, 512])
def test_an_array_that_was_never_written_is_its_fill_value(tmp_path: Path, userblock: int) -> None:
    with h5py.File(tmp_path / "a1.h5", "w", userblock_size=userblock) as file:
        file.create_dataset("x", shape=(2, 2), dtype="f4", fillvalue=7)
    assert Hdf5Reader(tmp_path / "a1.h5").read(np.array([1])).tolist() == [[7, 7]]


def test_an_array_kept_in_the_header_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a1.h5", "w") as file:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((3,))
        dataset = h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_INT64, space, layout)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([4, 5, 6]))
    assert Hdf5Reader(tmp_path / "a1.h5").read(np.array([2, 0])).tolist() == [6, 4]


@pytest.mark.parametrize(
    "array", [np.array([True, False]), np.array([1j, 2]), np.array([1], ">i4")]
)
def test_every_kind_of_number_is_read(tmp_path: Path, array: Array) -> None:
    with h5py.File(tmp_path / "a1.h5", "w") as file:
        file["x"] = array
    reader = Hdf5Reader(tmp_path / "a1.h5")
    assert (reader.dtype, reader.dtype.isnative) == (array.dtype.newbyteorder("="), True)
    np.testing.assert_array_equal(reader.read(np.arange(len(array))), array)


def test_arrays_of_the_top_level_are_listed_once(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a1.h5", "w") as file:
        for name in ("10", "9", "group/inner"):
            file[name] = ROWS
        file["nowhere"] = h5py.SoftLink("/gone")
    _list_datasets.cache_clear()
    assert hdf5_keys(tmp_path / "a1.h5") == ("10", "9")
    assert Hdf5Reader(tmp_path / "a1.h5", "9").shape == (10, 3)
    assert _list_datasets.cache_info().misses == 1


def test_arrays_kept_in_other_files_are_left_alone(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = ROWS
    virtual = h5py.VirtualLayout((10, 3), "f4")
    virtual[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", (10, 3))
    with h5py.File(tmp_path / "a1.h5", "w") as file:
        file["linked"] = h5py.ExternalLink("other.h5", "/x")
        file["raw"] = np.zeros(0)
        file.create_dataset("kept", (2,), "u1", external=[(tmp_path / "other.h5", 0, 2)])
        file.create_virtual_dataset("virtual", virtual)
    assert hdf5_keys(tmp_path / "a1.h5") == ("raw",)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (np.zeros(2, "i4,f4"), "Encode them first"),
        (np.zeros(2, "V3"), "Encode them first"),
    ],
)
def test_what_is_no_number_is_refused(tmp_path: Path, content: object, problem: str) -> None:
    with h5py.File(tmp_path / "a1.h5", "w") as file:
        file["x"] = content
    with pytest.raises(ShardError, match=rf"Expected numbers, .*{problem}.*\(.*a1\.h5\)"):
        Hdf5Reader(tmp_path / "a1.h5")


def test_a_type_that_numpy_lacks_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a1.h5", "w") as file:
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(file.id, b"x", h5py.h5t.UNIX_D32LE, space)
    with pytest.raises(ShardError, match="Expected numbers, but got Python objects"):
        Hdf5Reader(tmp_path / "a1.h5")


def test_an_array_that_is_not_there_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a1.h5", "w") as file:
        file["images"], file["masks"] = ROWS, ROWS
    expected = r"array 'image'\. Did you mean 'images'\? Known: images, masks\. \(.*a1\.h5\)"
    with pytest.raises(ShardError, match=expected):
        Hdf5Reader(tmp_path / "a1.h5", "image")
    with pytest.raises(ShardError, match=r"Expected one array, but got images, masks\."):
        Hdf5Reader(tmp_path / "a1.h5")


def test_damage_inside_a_compressed_array_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a1.h5"
    numbers = np.random.default_rng(0).integers(0, 99, 5000)
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=numbers, chunks=(5000,), compression="gzip")
    content = bytearray(path.read_bytes())
    content[-500:-400] = b"\xff" * 100
    path.write_bytes(content)
    expected = r"Expected a (readable|intact) file, .*\(.*a1\.h5\)"
    with pytest.raises(ShardError, match=expected), reading(path):
        Hdf5Reader(path).read(np.array([0]))

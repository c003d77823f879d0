from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from leyden.errors import ConfigError, DiscoveryError, FormatError, MissingPathError, ShardError
from leyden.shards import Catalog, Piece, discover
from leyden.shards.dataset_file import Cut
from leyden.types import Array

Write: TypeAlias = Callable[[Mapping[str, object]], Path]

NUMBERED = {"10": np.full((3, 2), 10), "9": np.full((1, 2), 9), "002": np.full((2, 2), 2)}


def rows_of(catalog: Catalog, number: int) -> Array:
    return catalog.open_data(number).read(np.arange(catalog.lengths[number]))


def save_npz(path: Path, arrays: dict[str, Array]) -> None:
    np.savez(path, **arrays)  # type: ignore[arg-type] # its stub takes names for options


def save_safetensors(path: Path, arrays: dict[str, Array]) -> None:
    save_file(arrays, path)


def save_hdf5(path: Path, arrays: dict[str, Array]) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


containers = pytest.mark.parametrize(
    ("name", "save"),
    [
        ("d.npz", save_npz),
        ("d.h5", save_hdf5),
        ("d.hdf5", save_hdf5),
        ("d.safetensors", save_safetensors),
    ],
)
Save = Callable[[Path, dict[str, Array]], None]


@containers
def test_an_array_for_each_number_is_a_set_for_each(tmp_path: Path, name: str, save: Save) -> None:
    save(tmp_path / name, NUMBERED)
    catalog = discover(tmp_path / name)
    assert catalog.lengths == {2: 2, 9: 1, 10: 3}  # in numeric order, zeros in front or not
    assert rows_of(catalog, 10).tolist() == [[10, 10]] * 3
    assert rows_of(catalog, 2).tolist() == [[2, 2]] * 2
    assert dict(catalog.facts)["shards"] == f"numbered arrays of {name}"


@containers
def test_arrays_of_other_names_are_left_out(tmp_path: Path, name: str, save: Save) -> None:
    save(tmp_path / name, {"1": np.zeros((2, 2)), "mean": np.zeros(2), "y": np.zeros(2)})
    catalog = discover(tmp_path / name)
    assert (catalog.set_numbers, catalog.has_labels) == ((1,), False)
    assert dict(catalog.facts)["left out"] == "mean, y"


@containers
def test_one_number_twice_is_refused(tmp_path: Path, name: str, save: Save) -> None:
    save(tmp_path / name, {"1": np.zeros(2), "01": np.zeros(2)})
    with pytest.raises(
        DiscoveryError, match=rf"each set number once in .*{name}, but got 0?1, 0?1"
    ):
        discover(tmp_path / name)


@containers
def test_arrays_that_differ_are_refused(tmp_path: Path, name: str, save: Save) -> None:
    save(tmp_path / name, {"1": np.zeros((2, 2)), "2": np.zeros((2, 3))})
    listing = r"set 1: float64 \(2,\) in .*\nset 2: float64 \(3,\) in "
    with pytest.raises(ShardError, match=listing):
        discover(tmp_path / name)


@containers
def test_an_array_without_rows_is_refused(tmp_path: Path, name: str, save: Save) -> None:
    save(tmp_path / name, {"1": np.zeros((2, 2)), "2": np.zeros((0, 2))})
    expected = rf"^Set 2: Expected at least one row, but got none\. Remove the array '2'\. .*{name}"
    with pytest.raises(ShardError, match=expected):
        discover(tmp_path / name)


def test_arrays_in_groups_are_told_to_be_copied(tmp_path: Path) -> None:
    with pytest.importorskip("h5py").File(tmp_path / "a1.h5", "w") as file:
        file["group/x"] = np.zeros((3, 2))
    expected = r"got none at the top level of the file\. Those in groups are not used: copy them"
    for place in (tmp_path, tmp_path / "a1.h5"):
        with pytest.raises(ShardError, match=expected):
            discover(place)


@containers
def test_one_array_is_cut_into_sets_with_its_labels(tmp_path: Path, name: str, save: Save) -> None:
    save(tmp_path / name, {"x": np.arange(14).reshape(7, 2), "y": np.arange(7) % 3})
    catalog = discover(tmp_path / name, rows_per_set=3)
    assert catalog.lengths == {1: 3, 2: 3, 3: 1}
    assert (rows_of(catalog, 3).tolist(), catalog.read_labels(2).tolist()) == (
        [[12, 13]],
        [0, 1, 2],
    )
    assert dict(catalog.facts) == {
        "shards": f"parts of {name}, 3 rows each",
        "labels from": "the same file",
    }
    assert not discover(tmp_path / name, labels=None).has_labels


TABLE = "u,label,v\n" + "".join(f"{i},{i % 4},{-i}\n" for i in range(70))


@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.parquet"])
def test_a_table_is_cut_into_sets_of_32_rows(write: Write, name: str) -> None:
    folder = write({"d.csv": TABLE, "d.tsv": TABLE.replace(",", "\t")})
    numbers = np.arange(70)
    pq.write_table(
        pa.table({"u": numbers, "label": numbers % 4, "v": -numbers}), folder / "d.parquet"
    )
    catalog = discover(folder / name)
    assert catalog.lengths == {1: 32, 2: 32, 3: 6}
    assert (catalog.sample_shape, catalog.dtype) == ((2,), np.dtype(np.float64))
    assert (catalog.label_dtype, catalog.num_classes) == (np.dtype(np.int64), 4)
    assert catalog.open_data(2).read(np.array([1, 0])).tolist() == [[33, -33], [32, -32]]
    assert catalog.read_labels(3).tolist() == [0, 1, 2, 3, 0, 1]


@pytest.mark.parametrize("name", ["d.npy", "d.npy.lz4", "d.npy.zst"])
def test_an_array_is_cut_into_sets(tmp_path: Path, name: str) -> None:
    array, path = np.arange(10, dtype=np.float32).reshape(5, 2), tmp_path / name
    if name == "d.npy":
        np.save(path, array)
    else:
        package = "lz4.frame" if name.endswith("lz4") else "zstandard"
        with pytest.importorskip(package).open(path, "wb") as stream:
            np.save(stream, array)
    catalog = discover(path, rows_per_set=2)
    assert (catalog.lengths, catalog.dtype) == ({1: 2, 2: 2, 3: 1}, np.dtype(np.float32))
    np.testing.assert_array_equal(rows_of(catalog, 2), array[2:4])


@given(num_rows=st.integers(1, 200), rows_per_set=st.integers(1, 70))
def test_parts_cover_every_row_once_and_in_order(num_rows: int, rows_per_set: int) -> None:
    parts = Cut(rows_per_set)(Piece(Path("d.npy"), num_rows, shape=(num_rows, 2)))
    assert list(parts) == list(range(1, len(parts) + 1))
    assert [r for p in parts.values() for r in range(p.start, p.start + p.num_rows)] == list(
        range(num_rows)
    )
    assert {part.num_rows for part in list(parts.values())[:-1]} <= {rows_per_set}


def test_the_first_axis_may_count_sets(write: Write) -> None:
    array = np.arange(24).reshape(3, 4, 2)
    path = write({"d.npy": array, "labels.npy": np.arange(12).reshape(3, 4)}) / "d.npy"
    catalog = discover(path, leading_axis="sets")
    assert (catalog.lengths, catalog.sample_shape) == ({1: 4, 2: 4, 3: 4}, (2,))
    assert catalog.open_data(3).read(np.array([3, 0])).tolist() == array[2, [3, 0]].tolist()
    assert catalog.read_labels(2).tolist() == [4, 5, 6, 7]
    assert dict(catalog.facts)["shards"] == "parts of d.npy, along its first axis"


def test_labels_in_the_same_file_may_be_stored_set_by_set(write: Write) -> None:
    path = write({"d.npz": {"x": np.zeros((2, 3, 5)), "y": [[0, 1, 2], [3, 4, 5]]}}) / "d.npz"
    catalog = discover(path, leading_axis="sets")
    assert (catalog.label_shape, catalog.read_labels(2).tolist()) == ((), [3, 4, 5])


@pytest.mark.parametrize("shape", [(4,), (4, 0), (4, 0, 2)])
def test_sets_along_the_first_axis_need_rows_along_the_second(
    write: Write, shape: tuple[int, ...]
) -> None:
    path = write({"d.npy": np.zeros(shape)}) / "d.npy"
    with pytest.raises(
        ShardError, match=r"array \(sets, rows, \.\.\.\), but got .*='rows'\. .*d\.npy"
    ):
        discover(path, leading_axis="sets")


def test_sets_along_an_axis_need_one_array(write: Write) -> None:
    folder = write({"a1.npy": 1, "d.npz": {"1": np.zeros((2, 2))}})
    for path, what in ((folder / "d.npz", "numbered arrays"), (folder, "a folder of shards")):
        expected = f"`leading_axis` to be 'rows' for {what}, but got 'sets' for "
        with pytest.raises(ConfigError, match=expected):
            discover(path, leading_axis="sets")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"rows_per_set": 0}, "`rows_per_set` to be a whole number from 1, but got 0"),
        ({"rows_per_set": True}, "`rows_per_set` to be a whole number from 1, but got True"),
        ({"rows_per_set": 2.5}, "`rows_per_set` to be a whole number from 1, but got 2.5"),
        ({"leading_axis": "set"}, "`leading_axis` to be 'rows' or 'sets', but got 'set'"),
        (
            {"pattern": "d*"},
            r"no `pattern` for a single file, but got 'd\*' for .*d\.npy\. Pass the",
        ),
    ],
)
def test_wrong_arguments_are_refused(write: Write, options: Any, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        discover(write({"d.npy": 4}) / "d.npy", **options)


ALIGNED = np.arange(70)


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({"labels.npy": ALIGNED}, "the file labels.npy"),
        ({"d_labels.npy": ALIGNED}, "the file d_labels.npy"),
        ({"d_labels.npy": ALIGNED, "labels.npy": [0]}, "the file d_labels.npy"),
        ({"labels.csv": "y\n" + "".join(f"{i}\n" for i in range(70))}, "the file labels.csv"),
        (
            {"labels.npz": {"1": ALIGNED[:32], "2": ALIGNED[32:64], "3": ALIGNED[64:]}},
            "the file labels.npz",
        ),
        (
            {
                "d_labels/1.npy": ALIGNED[:32],
                "d_labels/2.npy": ALIGNED[32:64],
                "d_labels/3.npy": ALIGNED[64:],
            },
            "the folder d_labels/",
        ),
    ],
)
def test_labels_are_found_beside_a_file(
    write: Write, files: Mapping[str, object], rule: str
) -> None:
    catalog = discover(write({"d.npy": 70, **files}) / "d.npy")
    assert dict(catalog.facts)["labels from"] == rule
    assert catalog.read_labels(3).tolist() == list(range(64, 70))


def test_labels_of_numbered_arrays_are_found_beside_the_file(tmp_path: Path) -> None:
    save_npz(tmp_path / "d.npz", NUMBERED)
    labels = {"2": np.array([0, 1]), "9": np.array([2]), "10": np.array([3, 4, 5])}
    save_npz(tmp_path / "d_labels.npz", labels)
    assert discover(tmp_path / "d.npz").read_labels(10).tolist() == [3, 4, 5]


def test_columns_of_parquet_may_be_the_labels_of_sets(write: Write) -> None:
    folder = write({"d.npy": 5})
    table = pa.table({"1": [0, 1, 2], "2": [3, 4, None]})
    pq.write_table(table, folder / "labels.parquet")
    assert discover(folder / "d.npy", rows_per_set=3).read_labels(2).tolist() == [3, 4]


@pytest.mark.parametrize("column", ["0", "1", "labels", "anything"])
def test_a_column_of_parquet_may_be_the_labels_of_all_rows(write: Write, column: str) -> None:
    folder = write({"d.npy": 5})
    pq.write_table(pa.table({column: [0, 1, 2, 3, 4]}), folder / "labels.parquet")
    assert discover(folder / "d.npy", rows_per_set=3).read_labels(2).tolist() == [3, 4]


def test_labels_may_be_named_or_be_the_inputs(write: Write) -> None:
    folder = write({"d.npy": 4, "classes.npy": [3, 2, 1, 0]})
    named = discover(folder / "d.npy", labels=folder / "classes.npy", rows_per_set=3)
    assert named.read_labels(2).tolist() == [0]
    themselves = discover(folder / "d.npy", labels="inputs", rows_per_set=3)
    np.testing.assert_array_equal(themselves.read_labels(2), rows_of(themselves, 2))


def test_a_file_of_labels_is_not_its_own_labels(write: Write) -> None:
    assert not discover(write({"labels.npy": 4}) / "labels.npy").has_labels


def test_labels_that_do_not_fit_are_refused(write: Write) -> None:
    folder = write({"d.npy": 4, "labels.npy": [0, 1]})
    with pytest.raises(DiscoveryError, match="one label per row, 4 in 1 sets, but got 2 in"):
        discover(folder / "d.npy")
    path = write({"d.npz": {"x": [1, 2, 3], "y": [0]}}) / "d.npz"
    with pytest.raises(DiscoveryError, match=r"set 1 has 2 rows but 1 labels|no labels for sets 2"):
        discover(path, rows_per_set=2)


def test_a_folder_that_holds_one_file_is_a_folder_of_one_shard(write: Write) -> None:
    catalog = discover(write({"128batch__1.npy": np.zeros((128, 28, 28, 1), np.uint8)}))
    assert (catalog.lengths, catalog.sample_shape) == ({1: 128}, (28, 28, 1))


def test_a_shard_that_holds_all_sets_is_to_be_named_itself(write: Write) -> None:
    folder = write({"data1.npz": {"1": [0], "2": [1]}})
    with pytest.raises(
        ShardError, match=r"got 1, 2\. If the file holds all sets, pass its own path"
    ):
        discover(folder)


def test_a_reader_opens_a_file_of_rows(write: Write) -> None:
    class Doubles:
        def __init__(self, path: Path) -> None:
            self._array = np.fromfile(path).reshape(-1, 2)
            self.shape, self.dtype = self._array.shape, self._array.dtype

        def read(self, rows: Array) -> Array:
            return self._array[rows]

    path = write({"d.f64": np.arange(10.0).tobytes()}) / "d.f64"
    catalog = discover(path, reader=Doubles, rows_per_set=4)
    assert (catalog.lengths, rows_of(catalog, 2).tolist()) == ({1: 4, 2: 1}, [[8, 9]])


def test_a_file_of_an_unknown_format_is_refused(write: Write) -> None:
    with pytest.raises(FormatError, match=r"a file of a known format, but got 'd\.dat'"):
        discover(write({"d.dat": b""}) / "d.dat")


def test_a_missing_file_suggests_its_nearest_sibling(write: Write) -> None:
    folder = write({"train.npy": 3, ".hidden": ""})
    with pytest.raises(MissingPathError, match=r"Did you mean 'train\.npy'\? Known: train\.npy\."):
        discover(folder / "trian.npy")


def test_the_catalogue_of_a_file_tells_of_it(write: Write) -> None:
    path = write({"d.npy": 40}) / "d.npy"
    assert discover(path).describe().splitlines() == [
        f"path         {path}",
        "shards       parts of d.npy, 32 rows each",
        "labels from  nowhere: none found",
        "sets         2: 1-2",
        "rows         40 (8 to 32 in a set)",
        "sample       float32 (2,)",
        "label        none",
        f"fingerprint  {discover(path).fingerprint}",
    ]

"""Promises that every built-in file format keeps."""

import gzip
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file

from leyden.errors import MissingExtraError, ShardError
from leyden.shards import Catalog, discover, known_extensions
from leyden.shards.formats import open_array
from leyden.shards.readers import reading
from leyden.types import Array


def save_text(path: Path, array: Array) -> None:
    names = [f"c{index}" for index in range(array.shape[1])]
    sign = "\t" if path.suffix == ".tsv" else ","
    np.savetxt(path, array, fmt="%.17g", delimiter=sign, header=sign.join(names), comments="")


def save_parquet(path: Path, array: Array) -> None:
    pq.write_table(pa.table({f"c{i}": column for i, column in enumerate(array.T)}), path)


def save_hdf5(path: Path, array: Array) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file["x"] = array


def save_lz4(path: Path, array: Array) -> None:
    lz4 = pytest.importorskip("lz4.frame")
    with lz4.open(path, "wb") as stream:
        np.save(stream, array)


def save_zstd(path: Path, array: Array) -> None:
    zstandard = pytest.importorskip("zstandard")
    with zstandard.open(path, "wb") as stream:
        np.save(stream, array)


SAVE: dict[str, Callable[[Path, Array], None]] = {
    ".csv": save_text,
    ".h5": save_hdf5,
    ".hdf5": save_hdf5,
    ".npy": np.save,
    ".npy.lz4": save_lz4,
    ".npy.zst": save_zstd,
    ".npz": lambda path, array: np.savez(path, x=array),
    ".parquet": save_parquet,
    ".safetensors": lambda path, array: save_file({"x": array}, path),
    ".tsv": save_text,
}
EXTRAS = {
    ".h5": ("h5py", "h5"),
    ".hdf5": ("h5py", "h5"),
    ".npy.lz4": ("lz4", "lz4"),
    ".npy.zst": ("zstandard", "zstd"),
}
TABLES = (".csv", ".tsv", ".parquet")
ARRAYS = [extension for extension in SAVE if extension not in TABLES]
every_format = pytest.mark.parametrize("extension", SAVE)
every_array_format = pytest.mark.parametrize("extension", ARRAYS)


def read_all(catalog: Catalog) -> Array:
    return catalog.open_data(1).read(np.arange(catalog.lengths[1]))


def test_every_format_has_an_example() -> None:
    assert tuple(sorted(SAVE)) == known_extensions()


@every_format
def test_rows_in_any_order_are_the_rows_of_the_array(tmp_path: Path, extension: str) -> None:
    rng = np.random.default_rng(0)
    array = rng.normal(size=(40, 5))
    SAVE[extension](tmp_path / f"a1{extension}", array)
    reader = open_array(tmp_path / f"a1{extension}")
    assert (tuple(reader.shape), reader.dtype) == ((40, 5), array.dtype)
    for rows in (np.arange(40), rng.permutation(40), rng.integers(0, 40, 7), np.array([], np.intp)):
        np.testing.assert_array_equal(reader.read(rows), array[rows])


@every_format
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_table_of_numbers_comes_back(
    tmp_path: Path, extension: str, data: st.DataObject
) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=6))
    array = data.draw(hnp.arrays(np.float64, shape, elements=st.floats(-1e300, 1e300)))
    with TemporaryDirectory(dir=tmp_path) as folder:
        SAVE[extension](Path(folder, f"a1{extension}"), array)
        np.testing.assert_array_equal(read_all(discover(folder)), array)


@every_array_format
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_array_comes_back_with_shape_and_dtype(
    tmp_path: Path, extension: str, data: st.DataObject
) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(["?", "u1", "i2", "u4", "i8", "f2", "f4", "f8"])))
    shape = data.draw(hnp.array_shapes(max_dims=4, max_side=4))
    array = data.draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(dtype, allow_nan=False)))
    with TemporaryDirectory(dir=tmp_path) as folder:
        SAVE[extension](Path(folder, f"a1{extension}"), array)
        catalog = discover(folder)
        found = read_all(catalog)
    assert (catalog.sample_shape, catalog.dtype, found.dtype) == (shape[1:], dtype, dtype)
    np.testing.assert_array_equal(found, array)


@every_format
def test_rows_are_copies_in_memory_of_their_own(tmp_path: Path, extension: str) -> None:
    SAVE[extension](tmp_path / f"a1{extension}", np.arange(6.0).reshape(3, 2))
    reader = open_array(tmp_path / f"a1{extension}")
    first = reader.read(np.array([2, 0]))
    first[:] = -1
    assert reader.read(np.array([2, 0])).tolist() == [[4, 5], [0, 1]]


@every_array_format
def test_a_single_number_is_refused(tmp_path: Path, extension: str) -> None:
    SAVE[extension](tmp_path / f"a1{extension}", np.array(3.0))
    with pytest.raises(ShardError, match=r"^Set 1: .* along axis 0, but got a single number"):
        discover(tmp_path)


@every_array_format
def test_a_shard_without_rows_is_refused(tmp_path: Path, extension: str) -> None:
    SAVE[extension](tmp_path / f"a1{extension}", np.zeros((0, 3)))
    assert open_array(tmp_path / f"a1{extension}").read(np.array([], np.intp)).shape == (0, 3)
    with pytest.raises(ShardError, match=r"^Set 1: Expected at least one row, but got none"):
        discover(tmp_path)


def read_whole(path: Path) -> Array:
    with reading(path, set_number=1):
        reader = open_array(path)
        return reader.read(np.arange(reader.shape[0]))


@every_format
@pytest.mark.parametrize(
    "content",
    [b"", b"\x00", b"\xff" * 200, b"no format at all\n" * 9, gzip.compress(b"1,2\n")],
    ids=["empty", "a zero", "ones", "text", "another format"],
)
def test_another_content_is_an_error_with_number_and_path(
    tmp_path: Path, extension: str, content: bytes
) -> None:
    path = tmp_path / f"a1{extension}"
    SAVE[extension](path, np.zeros((3, 2)))  # skips where the package is missing
    path.write_bytes(content)
    with pytest.raises(ShardError, match=rf"^Set 1: Expected .*\(.*a1{extension}\)$"):
        discover(tmp_path)


@every_array_format
def test_a_truncated_file_is_an_error_wherever_it_ends(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a1{extension}"
    SAVE[extension](path, np.random.default_rng(0).integers(0, 99, (300, 3)))
    content = path.read_bytes()
    for size in sorted({*range(0, len(content), 1 + len(content) // 40), len(content) - 1}):
        path.write_bytes(content[:size])
        with pytest.raises(ShardError, match=rf"^Set 1: Expected .*\(.*a1{extension}\)$"):
            read_whole(path)


@pytest.mark.parametrize("extension", [name for name in SAVE if name not in (".h5", ".hdf5")])
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_anywhere_is_a_shard_error_or_goes_unseen(
    tmp_path: Path, extension: str, data: st.DataObject
) -> None:
    path = tmp_path / f"a1{extension}"
    SAVE[extension](path, np.arange(60.0).reshape(20, 3))
    content = bytearray(path.read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    content[start : start + 8] = data.draw(st.binary(min_size=1, max_size=8))
    path.write_bytes(content)
    with suppress(ShardError):
        read_whole(path)


@every_format
def test_a_missing_file_is_an_error_with_number_and_path(tmp_path: Path, extension: str) -> None:
    if extension in EXTRAS:
        pytest.importorskip(EXTRAS[extension][0])
    (tmp_path / f"a1{extension}").symlink_to(tmp_path / "gone")
    with pytest.raises(ShardError, match=rf"^Set 1: .*No such file or directory\..*a1{extension}"):
        discover(tmp_path)
    (tmp_path / f"a1{extension}").unlink()
    (tmp_path / f"a1{extension}").mkdir()
    with pytest.raises(ShardError, match=rf"^Set 1: .*got: Is a directory\. \(.*a1{extension}"):
        discover(tmp_path)


@pytest.mark.parametrize("extension", EXTRAS)
def test_without_its_package_a_format_says_what_to_install(
    tmp_path: Path, extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, extra = EXTRAS[extension]
    (tmp_path / f"a1{extension}").write_bytes(b"never looked at")
    (tmp_path / "labels.npy").write_bytes(b"never looked at")
    monkeypatch.setitem(sys.modules, package, None)
    expected = rf"package `{package}` .* for 'a1{extension}', but .* `pip install leyden\[{extra}\]"
    with pytest.raises(MissingExtraError, match=expected):
        discover(tmp_path)


@pytest.mark.parametrize("extension", [name for name in SAVE if name not in EXTRAS])
def test_the_other_formats_need_no_extra(
    tmp_path: Path, extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent: Any = None
    for package, _ in EXTRAS.values():
        monkeypatch.setitem(sys.modules, package, absent)
    SAVE[extension](tmp_path / f"a1{extension}", np.ones((2, 2)))
    assert read_all(discover(tmp_path)).tolist() == [[1, 1], [1, 1]]

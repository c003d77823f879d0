from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from leyden.errors import ConfigError, FormatError, ShardError
from leyden.shards import formats
from leyden.shards.formats import (
    count_rows,
    format_of,
    known_extensions,
    open_array,
    register_format,
    split_name,
)
from leyden.shards.readers import NpyReader
from leyden.types import Array

Save = Callable[[Path, Array], object]


def save_fortran(path: Path, array: Array) -> None:
    np.save(path, np.asfortranarray(array))


def save_text(path: Path, array: Array) -> None:
    np.savetxt(path, array, fmt="%.17g", delimiter="\t" if path.suffix == ".tsv" else ",")


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("a1.npy", np.save),
        ("a1.npy", save_fortran),
        ("a1.NPY", np.save),
        ("a1.npz", np.savez),
        ("a1.npz", np.savez_compressed),
        ("a1.csv", save_text),
        ("a1.tsv", save_text),
    ],
)
def test_rows_in_any_order_are_the_rows_of_the_array(tmp_path: Path, name: str, save: Save) -> None:
    rng = np.random.default_rng(0)
    array = rng.normal(size=(40, 5))
    with (tmp_path / name).open("wb") as file:
        save(file if name == "a1.NPY" else tmp_path / name, array)  # type: ignore[arg-type] # NumPy appends .npy to a path
    reader = open_array(tmp_path / name)
    assert (tuple(reader.shape), reader.dtype) == ((40, 5), array.dtype)
    for rows in (np.arange(40), rng.permutation(40), rng.integers(0, 40, 7), np.array([], np.intp)):
        np.testing.assert_array_equal(reader.read(rows), array[rows])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a1.npy", ("a1", ".npy")),
        ("A1.NPY", ("A1", ".npy")),
        ("a1.b2.csv", ("a1.b2", ".csv")),
        ("a1.parquet", ("a1.parquet", "")),
        (".npy", ("", ".npy")),
        ("npy", ("npy", "")),
    ],
)
def test_names_are_split_at_a_known_extension(name: str, expected: tuple[str, str]) -> None:
    assert split_name(name) == expected


def test_an_unknown_extension_suggests_the_nearest() -> None:
    expected = r"a known format, but got 'a1\.npyy'\. Did you mean '\.npy'\? Known: \.csv, \.npy"
    with pytest.raises(FormatError, match=expected):
        format_of(Path("a1.npyy"))


def test_a_registered_format_is_known_and_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(formats._FORMATS, ".npy.raw", formats._FORMATS[".npy"])
    register_format(".NPY.RAW", NpyReader)
    with (tmp_path / "a1.npy.raw").open("wb") as file:
        np.save(file, np.array([5, 6]))
    assert ".npy.raw" in known_extensions()
    assert split_name("a1.npy.raw") == ("a1", ".npy.raw")
    assert open_array(tmp_path / "a1.npy.raw").read(np.array([1])).tolist() == [6]


@pytest.mark.parametrize("extension", ["", "dat", "."])
def test_an_extension_begins_with_a_dot(extension: str) -> None:
    with pytest.raises(ConfigError, match=f"to start with a dot, but got {extension!r}"):
        register_format(extension, NpyReader)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(5, "Input/output error"), "a readable file, but got: Input/output error"),
        (ValueError("bad magic"), "an intact file, but got: bad magic"),
        (EOFError("ends early"), "an intact file, but got: ends early"),
        (KeyError("x"), "an intact file, but got: 'x'"),
    ],
)
def test_what_a_reader_raises_becomes_a_shard_error(error: Exception, expected: str) -> None:
    def fail(_path: Path) -> NpyReader:
        raise error

    with pytest.raises(ShardError, match=rf"{expected}\. \(a1\.dat\)$"):
        open_array(Path("a1.dat"), reader=fail)


@pytest.mark.parametrize("name", ["gone.npy", "gone.npz", "gone.csv", "gone.tsv"])
def test_a_missing_file_is_a_shard_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ShardError, match=rf"got: No such file or directory\. \(.*{name}\)"):
        open_array(tmp_path / name)


@pytest.mark.parametrize("name", ["a1.npy", "a1.npz", "a1.csv", "a1.tsv"])
def test_a_folder_named_like_a_file_is_a_shard_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ShardError, match=rf"got: Is a directory\. \(.*{name}\)"):
        open_array(tmp_path / name)


def test_a_single_number_has_no_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "a1.npy", np.array(3.0))
    reader = open_array(tmp_path / "a1.npy")
    with pytest.raises(ShardError, match=r"rows along axis 0, but got a single number\. \(a1\.npy"):
        count_rows(reader, Path("a1.npy"))

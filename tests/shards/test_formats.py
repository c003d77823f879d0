from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import numpy as np
import pytest

from leyden.errors import ConfigError, FormatError, ShardError
from leyden.shards import formats
from leyden.shards.formats import (
    count_rows,
    format_of,
    known_extensions,
    load_reader,
    open_array,
    register_format,
    split_name,
)
from leyden.shards.readers import NpyReader
from leyden.types import Array

Save = Callable[[BinaryIO, Array], object]


def save_fortran(file: BinaryIO, array: Array) -> None:
    np.save(file, np.asfortranarray(array))


@pytest.mark.parametrize(
    ("name", "save"),
    [("a1.npy", save_fortran), ("a1.NPY", np.save), ("a1.npz", np.savez_compressed)],
)
def test_rows_in_any_order_are_the_rows_of_the_array(tmp_path: Path, name: str, save: Save) -> None:
    rng = np.random.default_rng(0)
    array = rng.normal(size=(40, 5))
    with (tmp_path / name).open("wb") as file:
        save(file, array)
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
        ("a1.xlsx", ("a1.xlsx", "")),
        ("a1.npy.lz4", ("a1", ".npy.lz4")),
        ("a1.lz4", ("a1.lz4", "")),
        ("a1.v2.npy.ZST", ("a1.v2", ".npy.zst")),
        ("a1.npy.bak", ("a1.npy.bak", "")),
        (".npy", ("", ".npy")),
        ("npy", ("npy", "")),
    ],
)
def test_names_are_split_at_a_known_extension(name: str, expected: tuple[str, str]) -> None:
    assert split_name(name) == expected


def test_an_unknown_extension_suggests_the_nearest() -> None:
    expected = r"a known format, but got 'a1\.npyy'\. Did you mean '\.npy'\? Known: \.csv, \.h5, "
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


def test_a_format_may_be_registered_by_the_import_path_of_its_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(formats._FORMATS, ".raw", formats._FORMATS[".npy"])
    register_format(".raw", "leyden.shards.readers.NpyReader")
    np.save(tmp_path / "a1.npy", np.array([5, 6]))
    (tmp_path / "a1.npy").rename(tmp_path / "a1.raw")
    assert open_array(tmp_path / "a1.raw").read(np.array([1])).tolist() == [6]


def test_a_reader_may_be_named_by_its_import_path() -> None:
    assert load_reader("leyden.shards.readers.NpyReader") is NpyReader
    assert load_reader(NpyReader) is NpyReader


@pytest.mark.parametrize(
    ("reader", "expected"),
    [
        ("NpyReader", r"but got 'NpyReader'\. Write it as 'package\.module\.function'\."),
        ("no_such.reader", r"No module named 'no_such'\. Start where the module is, or install"),
        (
            "leyden.shards.readers.NpyRaeder",
            r"leyden\.shards\.readers has no such name\. Did you mean 'NpyReader'\? Known: ",
        ),
        ("leyden.shards.readers.__doc__", "readers has something else of that name"),
        ("..x", "a function or its import path, but got '..x'"),
    ],
)
def test_a_reader_that_cannot_be_imported_is_refused(reader: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=rf"^Expected `reader` to be .*{expected}"):
        load_reader(reader)


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


@pytest.mark.parametrize("shape", [(-1, 3), (3, -1)])
def test_a_shape_has_no_negative_numbers(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"a `shape` such as \(rows, 3\), but .* \(-?\d, -?\d\)"):
        open_array(
            Path("a1.dat"), reader=lambda _: SimpleNamespace(shape=shape, dtype="f4", read=0)
        )


def test_a_single_number_has_no_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "a1.npy", np.array(3.0))
    reader = open_array(tmp_path / "a1.npy")
    with pytest.raises(ShardError, match=r"rows along axis 0, but got a single number\. \(a1\.npy"):
        count_rows(reader, Path("a1.npy"))


def test_what_a_reader_opens_can_be_read() -> None:
    with pytest.raises(ConfigError, match=r"`shape`, `dtype` and `read`, but ndarray has no read"):
        open_array(Path("a1.dat"), reader=lambda _: np.zeros(3))  # type: ignore[arg-type,return-value] # wrong on purpose

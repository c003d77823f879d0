import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leyden.errors import ShardError
from leyden.shards.readers.base import reading
from leyden.shards.readers.npz import NpzReader, _list_members, npz_keys
from leyden.types import Array


def test_npz_objects_are_never_unpickled(tmp_path: Path, trap: Array) -> None:
    np.savez(tmp_path / "a1.npz", x=trap)
    with pytest.raises(ShardError, match=r"but got Python objects.*\(.*a1\.npz\)"):
        NpzReader(tmp_path / "a1.npz")
    assert not (tmp_path / "sprung").exists()


def test_npz_objects_beside_the_array_wanted_are_left_alone(tmp_path: Path, trap: Array) -> None:
    np.savez(tmp_path / "a1.npz", x=np.array([1, 2]), names=trap)
    assert NpzReader(tmp_path / "a1.npz", "x").read(np.array([1])).tolist() == [2]
    assert not (tmp_path / "sprung").exists()


def test_npz_keys_come_in_the_order_they_were_written(tmp_path: Path) -> None:
    np.savez(tmp_path / "a1.npz", z=np.zeros(1), y=np.zeros(1))
    with zipfile.ZipFile(tmp_path / "a1.npz", "a") as archive:
        archive.writestr("README.md", "not an array")
    assert npz_keys(tmp_path / "a1.npz") == ("z", "y")


def test_keys_of_a_rewritten_archive_are_read_again(tmp_path: Path) -> None:
    np.savez(tmp_path / "a1.npz", one=np.zeros(1))
    assert npz_keys(tmp_path / "a1.npz") == ("one",)
    np.savez(tmp_path / "a1.npz", one=np.zeros(1), two=np.zeros(1))
    assert npz_keys(tmp_path / "a1.npz") == ("one", "two")


def test_an_archive_of_many_arrays_is_listed_once(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {str(i): np.array([i]) for i in range(50)}
    np.savez(tmp_path / "a1.npz", **arrays)
    _list_members.cache_clear()
    for i in range(50):
        assert NpzReader(tmp_path / "a1.npz", str(i)).read(np.array([0])).tolist() == [i]
    assert _list_members.cache_info().misses == 1


def test_an_array_that_is_not_in_the_archive_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a1.npz", images=np.zeros(1), masks=np.zeros(1))
    expected = r"array 'image'\. Did you mean 'images'\? Known: images, masks\."
    with pytest.raises(ShardError, match=expected):
        NpzReader(tmp_path / "a1.npz", "image")


def test_the_only_array_is_only_taken_if_it_is_the_only_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "a1.npz", a=np.zeros(1), b=np.zeros(1))
    with pytest.raises(ShardError, match="Expected one array, but got a, b"):
        NpzReader(tmp_path / "a1.npz")
    np.savez(tmp_path / "a2.npz")
    with pytest.raises(ShardError, match="Expected one array, but got none"):
        NpzReader(tmp_path / "a2.npz")


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 and no more"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a1.npz").write_bytes(content)
    with pytest.raises(ShardError, match=r"Expected an \.npz archive, but it is damaged.*a1\.npz"):
        NpzReader(tmp_path / "a1.npz")


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a1.npz", x=np.arange(100))
    content = (tmp_path / "a1.npz").read_bytes()
    (tmp_path / "a1.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ShardError, match=r"Expected an \.npz archive, but it is damaged"):
        NpzReader(tmp_path / "a1.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_inside_an_archive_is_noticed(tmp_path: Path, save: object) -> None:
    path = tmp_path / "a1.npz"
    assert callable(save)
    save(path, x=np.random.default_rng(0).integers(0, 99, 5000))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = b"\xff" * 8
    path.write_bytes(content)
    with (
        pytest.raises(ShardError, match=r"Expected an intact file, but got: .*a1\.npz"),
        reading(path),
    ):
        NpzReader(path).read(np.array([0]))


@pytest.mark.parametrize(("rows", "problem"), [(4, "more than one array. Save"), (6, "truncated")])
def test_an_array_of_an_archive_is_as_long_as_its_header_says(
    tmp_path: Path, rows: int, problem: str
) -> None:
    file = BytesIO()
    np.save(file, np.zeros(5))
    with zipfile.ZipFile(tmp_path / "a1.npz", "w") as archive:
        archive.writestr("x.npy", file.getvalue().replace(b"(5,)", f"({rows},)".encode()))
    expected = f"Expected {128 + 8 * rows} bytes, as the header says, but got 168: {problem}"
    with pytest.raises(ShardError, match=expected):
        NpzReader(tmp_path / "a1.npz")


def test_damage_by_another_compression_is_noticed(tmp_path: Path) -> None:
    path, file = tmp_path / "a1.npz", BytesIO()
    np.save(file, np.random.default_rng(0).normal(size=5000))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", file.getvalue())
    content = bytearray(path.read_bytes())
    content[20_000:20_040] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(ShardError, match="Expected an intact file, but got: "), reading(path):
        NpzReader(path).read(np.array([0]))

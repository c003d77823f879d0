import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typing_extensions import override

from leyden.errors import DiscoveryError, ShardError
from leyden.shards.readers import NpyReader, NpzReader, _list_members, npz_keys, reading
from leyden.types import Array


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @override
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._path,)


@pytest.fixture
def trap(tmp_path: Path) -> Array:
    sprung = tmp_path / "sprung"
    array = np.array([Trap(sprung), Trap(sprung)], dtype=object)
    np.save(tmp_path / "trap.npy", array, allow_pickle=True)
    np.load(tmp_path / "trap.npy", allow_pickle=True)
    assert sprung.exists()  # the trap works
    sprung.unlink()
    return array


def test_npy_objects_are_never_unpickled(tmp_path: Path, trap: Array) -> None:
    del trap
    with pytest.raises(ShardError, match=r"but got Python objects.*numeric dtype\. \(.*trap\.npy"):
        NpyReader(tmp_path / "trap.npy")
    assert not (tmp_path / "sprung").exists()


def test_npz_objects_are_never_unpickled(tmp_path: Path, trap: Array) -> None:
    np.savez(tmp_path / "a1.npz", x=trap)
    with pytest.raises(ShardError, match=r"but got Python objects.*\(.*a1\.npz\)"):
        NpzReader(tmp_path / "a1.npz")
    assert not (tmp_path / "sprung").exists()


def test_npz_objects_beside_the_array_wanted_are_left_alone(tmp_path: Path, trap: Array) -> None:
    np.savez(tmp_path / "a1.npz", x=np.array([1, 2]), names=trap)
    assert NpzReader(tmp_path / "a1.npz", "x").read(np.array([1])).tolist() == [2]
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "array", [np.array(["a", "bc"]), np.zeros(2, "i4,f4"), np.zeros(2, "M8[s]")]
)
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


def test_reading_adds_the_set_number_once(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"^Set 3: no \(x\)$"), reading(tmp_path, set_number=3):
        raise ShardError("no", path=Path("x"))
    with pytest.raises(ShardError, match=r"^Set 1: no$"), reading(tmp_path, set_number=3):
        raise ShardError("no", set_number=1)


def test_reading_lets_other_errors_of_ours_pass(tmp_path: Path) -> None:
    with pytest.raises(DiscoveryError, match=r"^two of them$"), reading(tmp_path):
        raise DiscoveryError("two of them")


def test_reading_explains_what_the_system_says(tmp_path: Path) -> None:
    path = tmp_path / "gone"
    with pytest.raises(ShardError, match="a readable file, but got: No such file"), reading(path):
        path.read_bytes()

import os
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leyden.errors import DiscoveryError, ShardError
from leyden.shards.readers import base
from leyden.shards.readers.base import map_array, reading, unload
from leyden.types import Array


def test_reading_adds_the_set_number_once(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"^Set 3: no \(x\)$"), reading(tmp_path, set_number=3):
        raise ShardError("no", path=Path("x"))
    with pytest.raises(ShardError, match=r"^Set 1: no \(.*\)$"), reading(tmp_path, set_number=3):
        raise ShardError("no", set_number=1)


def test_reading_lets_other_errors_of_ours_pass(tmp_path: Path) -> None:
    with pytest.raises(DiscoveryError, match=r"^two of them$"), reading(tmp_path):
        raise DiscoveryError("two of them")


def test_reading_explains_what_the_system_says(tmp_path: Path) -> None:
    path = tmp_path / "gone"
    with pytest.raises(ShardError, match="a readable file, but got: No such file"), reading(path):
        path.read_bytes()


PAGE = 4096


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take files from 1 MiB on to be large."""
    monkeypatch.setattr(base, "LARGE", 1 << 20)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(["u1", "<f4", ">i2", "c16"]),
    st.lists(st.integers(0, 4), min_size=1, max_size=3),
    st.integers(0, 99),
    st.booleans(),
    st.booleans(),
)
def test_a_stretch_of_a_file_is_mapped_as_it_is_stored(
    tmp_path_factory: pytest.TempPathFactory,
    dtype: str,
    shape: list[int],
    offset: int,
    is_fortran: bool,
    is_large: bool,
) -> None:
    path = tmp_path_factory.getbasetemp() / "stretch"
    expected = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    content = expected.tobytes("F" if is_fortran else "C")
    path.write_bytes(bytes(offset) + content + b"more")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "LARGE", 1 if is_large else 1 << 20)
        found = map_array(path, np.dtype(dtype), tuple(shape), offset, is_fortran=is_fortran)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(found, expected)
    if found.size:
        with pytest.raises(ValueError, match="read-only"):
            found[...] = 0


def large(tmp_path: Path) -> tuple[Path, Array]:
    """Write 2 MiB of numbers behind 128 bytes, and map them."""
    path, rows = tmp_path / "large", np.arange(1 << 18).reshape(64, -1)
    path.write_bytes(bytes(128) + rows.tobytes())
    return path, map_array(path, rows.dtype, rows.shape, 128)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - it only counts


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="The system does not tell.")
def test_only_maps_of_large_files_hold_a_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = descriptors()
    small = large(tmp_path)[1]
    assert descriptors() == before
    monkeypatch.setattr(base, "LARGE", 1 << 20)
    wide = large(tmp_path)[1]
    assert descriptors() == before + 1
    assert np.array_equal(small, wide)
    del wide
    assert descriptors() == before


def resident(path: Path) -> int:
    """Bytes of a mapped file that are in memory for this process."""
    return sum(each.rss for each in psutil.Process().memory_maps() if each.path == str(path))


tells_maps = pytest.mark.skipif(
    not hasattr(psutil.Process, "memory_maps"), reason="The system does not tell."
)


@tells_maps
@pytest.mark.parametrize("least", [1 << 20, 1 << 30])  # of either kind of map
def test_a_map_leaves_the_memory_and_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setattr(base, "LARGE", least)
    path, array = large(tmp_path)
    total = array.sum()
    assert resident(path) >= 2 << 20
    unload(array)
    assert resident(path) <= 2 * PAGE  # the first and the last, which are not the array's alone
    assert array.sum() == total == (1 << 18) * ((1 << 18) - 1) // 2


@tells_maps
@pytest.mark.usefixtures("small_is_large")
def test_a_part_leaves_the_memory_page_by_page(tmp_path: Path) -> None:
    path, array = large(tmp_path)
    array.sum()
    before = resident(path)
    unload(array[16:32])  # 512 KiB, of which the first and the last page are not its alone
    assert before - resident(path) >= (512 << 10) - PAGE
    array[:1].sum()
    left = resident(path)
    unload(array[:1, :10])  # not one page
    assert resident(path) == left
    assert array[16:32].tolist() == np.arange(1 << 16, 1 << 17).reshape(16, -1).tolist()


def test_what_is_no_map_is_left_as_it_is(tmp_path: Path) -> None:
    own = torch.arange(5000).numpy()
    for array in (np.arange(5000), own, large(tmp_path)[1], np.frombuffer(bytes(9000), np.uint8)):
        before = array.tolist()
        unload(array)
        assert array.tolist() == before

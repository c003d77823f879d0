import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leyden.data import addresses
from leyden.data.addresses import RowGather, address_of, take_rows
from leyden.types import Array

DTYPES = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "c8", "c16"]
DTYPES += [">i2", ">f8"]
SHAPES: list[tuple[int, ...]] = [(), (1,), (3,), (0,), (2, 3), (5, 1, 2), (16,), (17,)]

often = settings(max_examples=150, deadline=None, derandomize=True)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Have torch use so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def random_array(length: int, shape: tuple[int, ...], dtype: str, offset: int, seed: int) -> Array:
    """Fill an array with random bits, beginning at any byte."""
    size = length * int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
    content = np.random.default_rng(seed).bytes(offset + size + 1)
    return np.frombuffer(content, np.uint8)[offset : offset + size].view(dtype).reshape(-1, *shape)


def bits(rows: Array) -> Array:
    """Rows as bytes, which tell any two values apart, even if neither is a number."""
    plain = np.ascontiguousarray(rows)
    return plain.reshape(len(plain), -1).view(np.uint8)


def expected_of(arrays: list[Array], picked: list[tuple[int, int]]) -> Array:
    """Index array after array, row after row, as NumPy does it."""
    rows = [bits(arrays[place])[[row]] for place, row in picked]
    return np.concatenate(rows)


@often
@given(st.data())
def test_rows_are_those_of_plain_indexing_wherever_the_arrays_are(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    shape = data.draw(st.sampled_from([shape for shape in SHAPES if 0 not in shape]))
    lengths = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    offsets = data.draw(st.lists(st.integers(0, 17), min_size=len(lengths), max_size=len(lengths)))
    arrays = [
        random_array(length, shape, dtype, offset, seed)
        for seed, (length, offset) in enumerate(zip(lengths, offsets, strict=True))
    ]
    row = st.integers(0, len(lengths) - 1).flatmap(
        lambda place: st.tuples(st.just(place), st.integers(0, lengths[place] - 1))
    )
    picked = data.draw(st.lists(row, min_size=1, max_size=30))
    places, rows = (np.array(part, np.intp) for part in zip(*picked, strict=True))
    with threads(data.draw(st.sampled_from([1, 2]))):
        taken = take_rows(arrays, places, rows)
    assert (taken.dtype, taken.shape) == (np.dtype(dtype), (len(picked), *shape))
    assert np.array_equal(bits(taken), expected_of(arrays, picked))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_no_rows_are_rows_too(shape: tuple[int, ...], dtype: str) -> None:
    nothing = np.empty(0, np.intp)
    arrays = [np.zeros((length, *shape), dtype) for length in (3, 2)]
    taken = take_rows(arrays, nothing, nothing)
    assert (taken.dtype, taken.shape) == (np.dtype(dtype), (0, *shape))


def test_rows_of_nothing_are_counted() -> None:
    arrays = [np.zeros((length, 0), np.float32) for length in (3, 2)]
    places, rows = np.array([1, 0, 1, 0]), np.array([0, 2, 1, 0])
    assert take_rows(arrays, places, rows).shape == (4, 0)
    with pytest.raises(IndexError, match="Expected rows that the arrays have"):
        take_rows(arrays, places, rows + 1)


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_many_rows_come_in_their_order(num_threads: int, dtype: str) -> None:
    arrays = [random_array(1000, (3,), dtype, offset, offset) for offset in (0, 1, 8)]
    random = np.random.default_rng(0)
    places, rows = random.integers(0, 3, 40_000), random.integers(0, 1000, 40_000)
    with threads(num_threads):
        taken = take_rows(arrays, places, rows)
    assert np.array_equal(bits(taken), np.stack([bits(array) for array in arrays])[places, rows])


def test_the_bits_of_what_is_no_number_are_kept() -> None:
    patterns = np.array([0x7FF0_0000_0000_0001, 0xFFF8_0000_DEAD_BEEF, 1 << 63], np.uint64)
    order = np.array([2, 0, 1, 0])
    for row_size in (1, 2, 3):  # units of 8 and of 16 bytes
        array = np.repeat(patterns[:, np.newaxis], row_size, axis=1)
        taken = take_rows([array.view(np.float64)], np.zeros(4, np.intp), order)
        assert np.array_equal(taken.view(np.uint64), array[order])


@pytest.mark.parametrize(
    ("places", "rows"), [([0, 1], [0, -1]), ([0, 1], [0, 2]), ([1, 0], [0, 3]), ([0], [2**40])]
)
@pytest.mark.parametrize("is_possible", [True, False])
def test_rows_that_an_array_does_not_have_are_refused(
    monkeypatch: pytest.MonkeyPatch, places: list[int], rows: list[int], is_possible: bool
) -> None:
    if not is_possible:
        monkeypatch.setattr(addresses, "_is_possible", lambda: False)
    arrays = [np.zeros((3, 2)), np.zeros((2, 2))]
    with pytest.raises(IndexError, match="Expected rows that the arrays have, but got"):
        take_rows(arrays, np.array(places), np.array(rows))


@pytest.mark.parametrize("is_possible", [False, True])
def test_both_ways_give_the_same(monkeypatch: pytest.MonkeyPatch, *, is_possible: bool) -> None:
    if is_possible and not addresses._is_possible():
        pytest.skip("Rows cannot be taken by address here.")
    monkeypatch.setattr(addresses, "_is_possible", lambda: is_possible)
    arrays = [random_array(5, (3,), "u1", offset, offset) for offset in range(4)]
    picked = [(3, 4), (0, 0), (1, 2), (3, 0), (2, 4), (0, 0)]
    places, rows = (np.array(part) for part in zip(*picked, strict=True))
    gather = RowGather(arrays, places, rows)
    assert gather.is_by_address is is_possible
    assert np.array_equal(gather.take(0, 6), expected_of(arrays, picked))
    assert np.array_equal(gather.take(2, 5), expected_of(arrays, picked)[2:5])


def test_arrays_out_of_reach_are_gathered_one_by_one() -> None:
    arrays = [np.arange(6).reshape(3, 2), -np.arange(4).reshape(2, 2)]
    places, rows = np.array([1, 0]), np.array([1, 2])
    for far in (1 << 47, 1 << 56, 8):
        known = [address_of(arrays[0]), far]
        gather = RowGather(arrays, places, rows, known)
        assert not gather.is_by_address
        assert gather.take(0, 2).tolist() == [[-2, -3], [4, 5]]


def test_other_systems_gather_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses._is_possible.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr("sys.platform", "win32")
        assert not addresses._is_possible()
    addresses._is_possible.cache_clear()


@pytest.mark.parametrize(("length", "dtype"), [(70_001, "u1"), (150_001, "u2"), (300_000, "f4")])
def test_rows_may_be_long(length: int, dtype: str) -> None:
    arrays = [random_array(2, (length,), dtype, 0, seed) for seed in range(2)]
    picked = [(1, 1), (0, 0), (1, 0)]
    places, rows = (np.array(part) for part in zip(*picked, strict=True))
    assert np.array_equal(bits(take_rows(arrays, places, rows)), expected_of(arrays, picked))


def test_single_rows_may_be_cut_out_of_anything() -> None:
    whole = np.arange(24, dtype=np.float32).reshape(6, 4)
    arrays = [whole[::6], whole[1::5][:1]]  # in C order, as any single row is
    assert all(array.flags.c_contiguous for array in arrays)
    taken = take_rows(arrays, np.array([1, 0, 1]), np.zeros(3, np.intp))
    assert taken.tolist() == whole[[1, 0, 1]].tolist()


def test_rows_are_copies() -> None:
    arrays = [np.zeros((2, 2)), np.ones((2, 2))]
    for array in arrays:
        array.flags.writeable = False
    take_rows(arrays, np.array([0, 1]), np.array([0, 1]))[:] = 7
    assert [array.tolist() for array in arrays] == [[[0, 0]] * 2, [[1, 1]] * 2]


def test_an_address_is_that_of_the_first_element() -> None:
    array = np.arange(10, dtype=np.int64)
    assert address_of(array[3:]) - address_of(array) == 3 * 8


def test_rows_are_taken_on_the_cpu_whatever_torch_makes_by_default() -> None:
    arrays = [np.arange(6).reshape(3, 2), -np.arange(4).reshape(2, 2)]
    with torch.device("meta"), threads(2):
        taken = take_rows(arrays, np.array([1, 0]), np.array([1, 2]))
    assert taken.tolist() == [[-2, -3], [4, 5]]


_FROM_THE_START = """
import numpy as np
import torch

from leyden.data.addresses import RowGather

torch.set_default_device("meta")
gather = RowGather([np.arange(6).reshape(3, 2)], np.zeros(2, np.intp), np.array([2, 0]))
print(gather.is_by_address, gather.take(0, 2).tolist())
"""


def test_addresses_are_used_in_a_process_where_torch_makes_tensors_elsewhere() -> None:
    # Whether they can be is tried once in a process.
    command = [sys.executable, "-c", _FROM_THE_START]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout == "True [[4, 5], [0, 1]]\n"

import copy
import gc
import pickle
from collections.abc import Callable

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.dlpack import from_dlpack

from leyden.data.addresses import address_of
from leyden.data.buffers import Buffers
from leyden.types import Array

SHAPE = (1 << 10, 1 << 10)  # of bytes: large enough to be worth it


@pytest.fixture
def buffers() -> Buffers:
    return Buffers()


def test_memory_is_used_again_once_the_array_is_gone(buffers: Buffers) -> None:
    array = buffers.empty(SHAPE, np.uint8)
    address = address_of(array)
    assert address_of(buffers.empty(SHAPE, np.uint8)) != address
    del array
    assert address_of(buffers.empty(SHAPE, np.uint8)) == address


@pytest.mark.parametrize(
    "look",
    [
        lambda array: array[5:7],
        lambda array: array.view(np.float32).reshape(-1)[3:],
        memoryview,
        torch.from_numpy,
        lambda array: torch.from_numpy(array[1:])[2:].view(-1)[:8],
        lambda array: torch.split(torch.from_numpy(array), 100)[3],
        lambda array: from_dlpack(torch.from_numpy(array)),
        lambda array: torch.from_numpy(array).untyped_storage(),
        lambda array: torch.from_numpy(array).view(torch.int8).detach().numpy()[4],
    ],
)
def test_it_is_not_while_anybody_looks_at_it(
    buffers: Buffers, look: Callable[[Array], object]
) -> None:
    array = buffers.empty(SHAPE, np.uint8)
    address, seen = address_of(array), look(array)
    del array
    gc.collect()
    assert address_of(buffers.empty(SHAPE, np.uint8)) != address
    del seen
    gc.collect()
    later = [buffers.empty(SHAPE, np.uint8) for _ in range(2)]
    assert address in map(address_of, later)


def test_arrays_may_be_of_any_size_and_type(buffers: Buffers) -> None:
    for dtype in ("?", "u1", ">i2", "f4", "c16"):
        for shape in ((0,), (3, 0, 2), (7,), (1000, 333), (40_000, 3, 5), (2_500_000,)):
            array = buffers.empty(shape, dtype)
            assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
            assert array.flags.c_contiguous
            assert array.size == 0 or address_of(array) % 64 == 0  # as torch has it
            array[...] = 1
            assert array.all()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 900)), min_size=1, max_size=40))
def test_arrays_that_are_alive_never_share_memory(steps: list[tuple[int, int]]) -> None:
    buffers = Buffers()
    alive: dict[int, tuple[Array, int]] = {}
    for number, (place, kib) in enumerate(steps):
        alive.pop(place, None)
        array = buffers.empty((kib, 1024), np.uint8)
        array[...] = number % 256
        alive[place] = array, number % 256
        for other, value in alive.values():
            assert (other == value).all()


def test_it_goes_back_to_the_system_where_much_of_it_waits(buffers: Buffers) -> None:
    process = psutil.Process()
    before = process.memory_info().rss
    many = [buffers.empty(SHAPE, np.uint8) for _ in range(200)]
    for array in many:
        array[...] = 1
    assert process.memory_info().rss - before > 150 << 20
    del array
    many.clear()
    assert process.memory_info().rss - before < 50 << 20


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_has_memory_of_its_own(
    buffers: Buffers, copied: Callable[[Buffers], Buffers]
) -> None:
    address = address_of(buffers.empty(SHAPE, np.uint8))
    other = copied(buffers)
    assert address_of(other.empty(SHAPE, np.uint8)) != address
    assert address_of(buffers.empty(SHAPE, np.uint8)) == address

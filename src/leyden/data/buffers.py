"""Memory of batches, which is used again once nobody holds the batch any more."""

import math
import mmap
import sys
import weakref
from collections import deque

import numpy as np
import torch
from numpy.typing import DTypeLike
from typing_extensions import override

from leyden.types import Array

__all__ = ["Buffers"]

_LEAST = 1 << 18  # bytes; what is smaller is had faster from the allocator
_MOST = 32 << 20  # bytes; what is larger goes back to the system, as the allocator has it too
_WAITING = 64 << 20  # bytes that wait for their next use, of each size
_ROTATION = 4  # buffers of a size that wait, at most: a loop holds one batch and asks for the next


class Buffers:
    """Arrays for rows, each with memory of its own until the last view of it is gone.

    The allocator fills the gap that a batch leaves with small things that stay, such as what an
    open file takes, so that the next batch does not fit there and the process grows by it, some
    hundred times. Memory that was used before also has its pages already.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, deque[mmap.mmap]] = {}
        self._lent: dict[int, weakref.ref[Array]] = {}  # by its memory

    @override
    def __reduce__(self) -> tuple[type["Buffers"], tuple[()]]:
        return Buffers, ()  # a copy, and another process, have none yet

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Make an array whose values are whatever was there; it begins where a tensor would.

        Args:
            shape: Its shape.
            dtype: Type of its values.
        """
        num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        if not _LEAST <= num_bytes <= _MOST:
            memory_of_torch: Array = torch.empty(num_bytes, dtype=torch.uint8, device="cpu").numpy()
            return memory_of_torch.view(dtype).reshape(shape)
        size = 1 << (num_bytes - 1).bit_length()  # pages that are not touched take up nothing
        waiting = self._waiting.get(size)
        if waiting is None:
            most = min(_ROTATION, _WAITING // size)
            waiting = self._waiting[size] = deque(maxlen=most)
        try:
            memory = waiting.pop()
        except IndexError:
            memory = _allocate(size)
        array: Array = np.ndarray(shape, dtype, memory)
        self._lend(array, memory, waiting)
        return array

    def _lend(self, array: Array, memory: mmap.mmap, waiting: deque[mmap.mmap]) -> None:
        """Have memory wait once its array is gone, to which all views refer."""
        lent, key = self._lent, id(memory)

        def take_back(_: weakref.ref[Array]) -> None:
            del lent[key]
            waiting.append(memory)

        lent[key] = weakref.ref(array, take_back)  # takes a fifth of the time of a finalizer


def _allocate(num_bytes: int) -> mmap.mmap:
    if sys.platform == "win32":
        return mmap.mmap(-1, num_bytes)
    # Private: a worker process that is forked has its own.
    return mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

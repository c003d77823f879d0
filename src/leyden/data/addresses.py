"""Copy rows out of many arrays at once, wherever these arrays are in memory.

A set is mapped or loaded at an address of its own. NumPy and torch gather rows from one array only,
so that a batch of rows from eight sets takes eight gathers and eight scatters. But every row is at
a known address, and an array can be made that begins near zero and spans all addresses: its rows
overlap, one begins at every multiple of a few bytes. Gathering from it by address is one call, and
reads none but the rows asked for. ``take_rows`` does so where it can, and array by array elsewhere.
"""

import sys
from collections.abc import Sequence
from functools import cache, lru_cache, reduce
from operator import or_
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leyden.types import Array, Rows

__all__ = ["address_of", "take_rows"]

_BEGIN = 1 << 16  # below any array; zero would be taken for no address at all
_END = 1 << 47  # above any array, unless an address has more bits than most systems use
_UNITS = {1: np.uint8, 2: np.int16, 4: np.int32, 8: np.int64, 16: np.complex128}
_COUNTABLE = 1 << 62  # bytes that the overlapping rows of an array may have
_STEP = 1 << 36  # stretches of the memory begin at multiples of this, lest each batch has its own
_SERIAL = 1 << 15  # elements that torch gathers without asking other threads to help


def address_of(array: Array) -> int:
    """Tell where the first element of an array is in memory, in bytes."""
    address: int = array.__array_interface__["data"][0]
    return address


def take_rows(
    arrays: Sequence[Array], places: NDArray[np.intp], rows: Rows, addresses: Sequence[int] = ()
) -> Array:
    """Copy rows out of several arrays.

    Args:
        arrays: Arrays ``(rows, ...)`` in C order, alike but for the number of their rows.
        places: Which of the arrays each row is from, ``(n,)``.
        rows: Its index within that array, ``(n,)``.
        addresses: Where the arrays are, if that is known already.

    Returns:
        The rows in that order, ``(n, ...)``.

    Raises:
        IndexError: If an array has no such row.
    """
    if len(rows):
        _check_rows([len(array) for array in arrays], places, rows)
    if len(rows) and arrays[0].nbytes and _is_possible():
        known = list(addresses) or [address_of(array) for array in arrays]
        span = _find_span(known, max(map(_nbytes, arrays)), arrays[0].nbytes // len(arrays[0]))
        if span is not None:
            return _take_by_address(arrays[0], known, places, rows, span)
    return _take_one_by_one(arrays, places, rows)


def _nbytes(array: Array) -> int:
    return array.nbytes


def _find_span(addresses: list[int], longest: int, row_bytes: int) -> tuple[int, int] | None:
    """Find a stretch of the memory with all arrays in it, not too long to count its rows' bytes."""
    lowest, highest = min(addresses), max(addresses) + longest
    begin, end = _BEGIN, _END
    if end - begin > _COUNTABLE // row_bytes:
        begin = lowest // _STEP * _STEP or _BEGIN
        end = min(begin + _COUNTABLE // row_bytes, _END)
    return (begin, end) if begin <= lowest and highest <= end else None


def _check_rows(lengths: list[int], places: NDArray[np.intp], rows: Rows) -> None:
    highest = rows.max()
    in_all = highest < min(lengths)
    if rows.min() < 0 or not (in_all or np.all(rows < np.array(lengths)[places])):
        raise IndexError(f"Expected rows that the arrays have, but got some up to {highest}.")


def _take_one_by_one(arrays: Sequence[Array], places: NDArray[np.intp], rows: Rows) -> Array:
    result = np.empty((len(rows), *arrays[0].shape[1:]), arrays[0].dtype)
    for place, array in enumerate(arrays):
        mine = np.flatnonzero(places == place)
        result[mine] = array[rows[mine]]
    return result


def _take_by_address(
    like: Array,
    addresses: list[int],
    places: NDArray[np.intp],
    rows: Rows,
    span: tuple[int, int] = (_BEGIN, _END),
) -> Array:
    shape, row_bytes = like.shape[1:], like.nbytes // len(like)
    bits = reduce(or_, addresses) | row_bytes | max(_UNITS)
    unit = bits & -bits  # the largest that divides them all
    begins = np.array([(address - span[0]) // unit for address in addresses])
    index = torch.from_numpy(begins[places] + rows * (row_bytes // unit))
    memory = _memory(unit, row_bytes // unit, *span)
    if torch.get_num_threads() == 1:
        taken = memory.index_select(0, index)
    else:
        taken = _take_alone(memory, index)
    result: Array = taken.numpy().view(like.dtype).reshape(len(rows), *shape)
    return result


def _take_alone(memory: Tensor, index: Tensor) -> Tensor:
    """Gather in pieces small enough that no other thread helps: they may be busy elsewhere."""
    shape = (len(index), *memory.shape[1:])
    taken = torch.empty(shape, dtype=memory.dtype, device="cpu")
    at_once = max(1, _SERIAL // taken[:1].numel())
    for part, into in zip(torch.split(index, at_once), torch.split(taken, at_once), strict=True):
        torch.index_select(memory, 0, part, out=into)
    return taken


class _Memory:
    """The memory as an array whose rows begin at every unit; nothing of it is read."""

    def __init__(self, unit: int, units_per_row: int, begin: int, end: int) -> None:
        dtype = np.dtype(_UNITS[unit])
        count = (end - begin) // unit - units_per_row + 1
        shape = (count,) if units_per_row == 1 else (count, units_per_row)
        strides = (unit,) if units_per_row == 1 else (unit, unit)
        self.__array_interface__: dict[str, Any] = {
            "version": 3,
            "typestr": dtype.str,
            "shape": shape,
            "strides": strides,
            "data": (begin, False),
        }


@lru_cache(maxsize=64)
def _memory(unit: int, units_per_row: int, begin: int, end: int) -> Tensor:
    return torch.from_numpy(np.asarray(_Memory(unit, units_per_row, begin, end)))


@cache
def _is_possible() -> bool:
    """Try it on two small arrays."""
    if sys.platform not in ("linux", "darwin") or sys.maxsize < _END:
        return False
    arrays = [np.arange(6, dtype=np.int64).reshape(2, 3), -np.arange(6).reshape(2, 3)]
    places, rows = np.array([1, 0, 1]), np.array([1, 0, 0])
    addresses = [address_of(array) for array in arrays]
    try:
        taken = _take_by_address(arrays[0], addresses, places, rows)
    except (RuntimeError, ValueError):  # a NumPy or torch that refuses such an array
        return False
    return np.array_equal(taken, _take_one_by_one(arrays, places, rows))

"""Copy rows out of many arrays at once, wherever these arrays are in memory.

A set is mapped or loaded at an address of its own. NumPy and torch gather rows from one array only,
so that a batch of rows from eight sets takes eight gathers and eight scatters. But every row is at
a known address, and an array can be made that begins near zero and spans all addresses: its rows
overlap, one begins at every multiple of a few bytes. Gathering from it by address is one call, and
reads none but the rows asked for. ``take_rows`` does so where it can, and array by array elsewhere.
"""

import math
import sys
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leyden.data.buffers import Buffers
from leyden.types import Array, Rows

__all__ = ["RowGather", "address_of", "take_rows"]

_BEGIN = 1 << 16  # below any array; zero would be taken for no address at all
_END = 1 << 47  # above any array, unless an address has more bits than most systems use
_UNITS = {1: np.uint8, 2: np.int16, 4: np.int32, 8: np.int64, 16: np.complex128}
_COUNTABLE = 1 << 62  # bytes that the overlapping rows of an array may have
_STEP = 1 << 36  # stretches of the memory begin at multiples of this, lest each batch has its own


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
    return RowGather(arrays, places, rows, addresses).take(0, len(rows))


class RowGather:
    """Rows of several arrays: found once, and copied out stretch by stretch; see ``take_rows``.

    Args:
        arrays: Arrays ``(rows, ...)`` in C order, alike but for the number of their rows.
        places: Which of the arrays each row is from, ``(n,)``.
        rows: Its index within that array, ``(n,)``.
        addresses: Where the arrays are, if that is known already.
        buffers: Where the copies go.

    Raises:
        IndexError: If an array has no such row.
    """

    def __init__(
        self,
        arrays: Sequence[Array],
        places: NDArray[np.intp],
        rows: Rows,
        addresses: Sequence[int] = (),
        buffers: Buffers | None = None,
    ) -> None:
        self._buffers = buffers or Buffers()
        self._arrays, self._places, self._rows = arrays, places, rows  # which stay where they are
        if len(rows):
            _check_rows([len(array) for array in arrays], places, rows)
        like = arrays[0]
        self._shape, self._dtype = like.shape[1:], like.dtype
        self.row_bytes = math.prod(self._shape) * like.itemsize
        self._memory: Tensor | None = None
        if len(rows) and like.nbytes and _is_possible():
            known = np.array(list(addresses) or [address_of(array) for array in arrays])
            longest = max(map(len, arrays)) * self.row_bytes
            span = _find_span(int(known.min()), int(known.max()) + longest, self.row_bytes)
            if span is not None:
                self._locate(known, span)

    @property
    def is_by_address(self) -> bool:
        """Whether the rows are gathered by their addresses, rather than array by array."""
        return self._memory is not None

    def _locate(self, addresses: NDArray[np.int64], span: tuple[int, int]) -> None:
        bits = int(np.bitwise_or.reduce(addresses)) | self.row_bytes | max(_UNITS)
        unit = bits & -bits  # the largest that divides them all
        self._unit = _UNITS[unit]
        self._units = self.row_bytes // unit  # of a row
        begins = (addresses - span[0]) // unit
        self._index = begins[self._places]
        self._index += self._rows * self._units
        self._memory = _memory(unit, self._units, *span)

    def take(self, begin: int, end: int) -> Array:
        """Copy a stretch of the rows.

        Args:
            begin: The first of them.
            end: The one after the last.

        Returns:
            The rows in their order, ``(end - begin, ...)``.
        """
        if self._memory is None:
            return self._take_one_by_one(begin, end)
        index = torch.from_numpy(self._index[begin:end])
        if self._units == 1:  # torch cannot rule out that such a row overlaps with its copy
            taken = self._memory.index_select(0, index).numpy()
        else:
            taken = self._buffers.empty((end - begin, self._units), self._unit)
            torch.index_select(self._memory, 0, index, out=torch.from_numpy(taken))
        return taken.view(self._dtype).reshape(end - begin, *self._shape)

    def _take_one_by_one(self, begin: int, end: int) -> Array:
        places, rows = self._places[begin:end], self._rows[begin:end]
        result = self._buffers.empty((len(rows), *self._shape), self._dtype)
        for place in np.unique(places).tolist():
            mine = np.flatnonzero(places == place)
            result[mine] = self._arrays[place][rows[mine]]
        return result


def _find_span(lowest: int, highest: int, row_bytes: int) -> tuple[int, int] | None:
    """Find a stretch of the memory with all arrays in it, not too long to count its rows' bytes."""
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
    """Try it on a small array."""
    if sys.platform not in ("linux", "darwin") or sys.maxsize < _END:
        return False
    array, index = np.arange(6, dtype=np.int64).reshape(3, 2), torch.tensor([2, 0], device="cpu")
    try:
        memory = _memory(8, 2, address_of(array), address_of(array) + array.nbytes)
        taken = memory.index_select(0, 2 * index)  # a row begins at every number
    except (RuntimeError, ValueError):  # a NumPy or torch that refuses such an array
        return False
    return taken.tolist() == [[4, 5], [0, 1]]

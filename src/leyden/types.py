"""Interfaces and names that more than one room needs."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Key", "Phase", "Reader", "Rows", "Tolerant"]

Array: TypeAlias = NDArray[Any]
"""An array of any dtype."""

Rows: TypeAlias = NDArray[np.intp]
"""Row indices within one set, ``(rows,)``."""

Key: TypeAlias = str | tuple[str, ...] | None
"""Which array of a file: its name, the columns of a table, or ``None`` for the whole file."""


class Phase(StrEnum):
    """What a batch is used for."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"
    PREDICT = "predict"


class Reader(Protocol):
    """An open array with rows along axis 0.

    Custom formats implement this and are registered with ``register_format``.
    """

    @property
    def shape(self) -> Sequence[int]:
        """Shape with the rows first: ``(rows, ...)``."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type."""
        ...

    def read(self, rows: Rows) -> Array:
        """Copy rows out.

        Args:
            rows: Indices of the rows wanted, ``(n,)``, in any order.

        Returns:
            The rows in that order, ``(n, ...)``, in memory of their own.
        """
        ...


@runtime_checkable
class Tolerant(Protocol):
    """Something that may fail without anybody else's failing, such as a tracker."""

    def attempt(self, call: Callable[[], Any], *, anyway: bool = False) -> Any:
        """Do something with it, unless it has failed before.

        Args:
            call: What is to be done.
            anyway: Whether to do it even so.

        Returns:
            What that gave; ``None`` if it has failed, now or before.
        """
        ...

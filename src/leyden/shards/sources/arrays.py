"""Arrays and tensors to be packed."""

from typing import Any

import numpy as np
from torch import Tensor
from typing_extensions import override

from leyden.errors import DataError
from leyden.shards.readers import as_words, is_too_long
from leyden.shards.sources.base import Block, IndexedSource, digest_rows
from leyden.types import Array, Rows

__all__ = ["ArraySource", "as_array", "check_numbers"]


class ArraySource(IndexedSource):
    """Rows of an array in memory, or mapped into it.

    Args:
        inputs: ``(rows, ...)``.
        labels: ``(rows, ...)``, or texts ``(rows,)``, which become classes in alphabetical order,
            without white space around them; ``None`` without labels.

    Raises:
        DataError: If they are no numbers, there are no rows, not one label for every row, or a text
            is empty.
    """

    def __init__(self, inputs: Array | Tensor, labels: object = None) -> None:
        self._inputs = check_numbers(as_array(inputs), "`source`")
        self._labels: Array | None = None
        self._class_names: tuple[str, ...] | None = None
        if self._inputs.ndim == 0 or not len(self._inputs):
            shape = self._inputs.shape
            raise DataError(f"Expected rows along axis 0 of `source`, but got the shape {shape}.")
        if labels is not None:
            self._set_labels(as_array(labels))

    def _set_labels(self, labels: Array) -> None:
        if labels.shape[:1] != self._inputs.shape[:1]:
            problem = "Expected one label for every row, but the shapes differ."
            sides = f"source: {self._inputs.shape}\nlabels: {labels.shape}"
            raise DataError(f"{problem}\n{sides}")
        if labels.dtype.kind == "U" and labels.ndim == 1:
            names, labels = np.unique(as_words(labels), return_inverse=True)
            self._class_names = tuple(names.tolist())
        self._labels = check_numbers(labels, "`labels`")

    @property
    @override
    def num_rows(self) -> int:
        return len(self._inputs)

    @property
    @override
    def class_names(self) -> tuple[str, ...] | None:
        return self._class_names

    @override
    def describe(self) -> dict[str, Any]:
        labels = None if self._labels is None else _describe(self._labels)
        return {"kind": "array", **_describe(self._inputs), "labels": labels}

    @override
    def read(self, rows: Rows) -> Block:
        return Block(self._inputs[rows], None if self._labels is None else self._labels[rows])


def as_array(value: object) -> Array:
    """Take a tensor, or what NumPy takes, for an array.

    Raises:
        DataError: If NumPy cannot, or values are masked.
    """
    if isinstance(value, np.ma.MaskedArray) and (masked := int(np.ma.getmaskarray(value).sum())):
        problem = f"Expected a value everywhere in an array, but got {masked} masked"
        raise DataError(f"{problem}. Pass array.filled(...) with a value for them.")
    try:
        if isinstance(value, Tensor):
            array: Array = value.numpy(force=True)
            return array
        array = np.asarray(value)
        return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else _as_texts(array)
    except (TypeError, ValueError) as error:  # bfloat16, sparse; lists of lists of many lengths
        problem = f"Expected an array of one dtype that NumPy has, but got: {error}."
        raise DataError(f"{problem} Convert it, for example with .float().") from None


def _as_texts(array: Array) -> Array:
    """Give texts that are kept as objects, as pandas does, the dtype of texts."""
    if array.dtype.kind not in {"O", "T"} or not all(isinstance(item, str) for item in array.flat):
        return array
    return array.astype(np.str_)


def check_numbers(array: Array, what: str) -> Array:
    """Make sure that an array holds numbers.

    Args:
        array: Any array.
        what: What it is, for the error.

    Raises:
        DataError: If it holds anything else, or longer numbers than PyTorch has.
    """
    if array.dtype.kind not in "biufc":
        kind = "Python objects" if array.dtype.hasobject else str(array.dtype)
        raise DataError(f"Expected numbers in {what}, but got {kind}. Encode them first.")
    if is_too_long(array.dtype):
        problem = f"Expected numbers that PyTorch has in {what}, but got {array.dtype}."
        raise DataError(f"{problem} Convert them with .astype('float64').")
    return array


def _describe(array: Array) -> dict[str, Any]:
    return {
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "digest": digest_rows(array),
    }

"""Rows of a batch that are not finite, and the sets that they are from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from leyden.data.origin import rows_of
from leyden.introspect import is_mask

__all__ = ["BadRow", "bad_rows_of", "find_bad_rows", "tensors_of"]

_MOST = 100  # rows that are listed


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row of a batch with a value that is not finite.

    Args:
        tensor: The part of the batch, such as ``0`` or ``0.image``.
        row: Its place in the batch, from zero.
        set_number: The set that it is from; ``None`` where that is not known.
        row_in_set: Its place in that set, from zero.
    """

    tensor: str
    row: int
    set_number: int | None = None
    row_in_set: int | None = None

    @override
    def __str__(self) -> str:
        place = f"row {self.row} of the batch"
        if self.set_number is None:
            return place
        return f"{place}, which is row {self.row_in_set} of set {self.set_number}"


def find_bad_rows(batch: Any, origin: Any = None) -> list[BadRow]:
    """Find the rows of a batch with values that are NaN or infinite.

    Args:
        batch: Tensors in dictionaries, lists and tuples, each with the rows along its first axis.
        origin: Where the batch comes from: something with ``slices``, each with ``set_number`` and
            ``rows``, as ``AutoDataModule.origin`` returns it; ``None`` if that is not known.

    Returns:
        The first hundred of them at most.

    Example:
        >>> [str(row) for row in find_bad_rows([torch.tensor([1.0, torch.nan])])]
        ['row 1 of the batch']
    """
    places = _places(origin)
    found = [
        BadRow(name, row, *(places[row] if row < len(places) else (None, None)))
        for name, tensor in tensors_of(batch)
        for row in bad_rows_of(tensor)
    ]
    return found[:_MOST]


def bad_rows_of(tensor: Tensor) -> list[int]:
    """List the places along the first axis with values that are NaN or infinite.

    Args:
        tensor: Of any shape and type; a mask of zeros and -Inf has none.
    """
    if tensor.ndim == 0 or not (tensor.is_floating_point() or tensor.is_complex()):
        return []
    if tensor.is_sparse or not tensor.numel():
        return []
    is_bad = ~torch.isfinite(tensor.detach())
    rows: list[int] = is_bad.reshape(len(tensor), -1).any(1).nonzero().flatten().tolist()
    return [] if rows and is_mask(tensor) else rows


def tensors_of(batch: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """List the tensors of a nested value by their places.

    Args:
        batch: Tensors in dictionaries, lists and tuples.
        name: Of the place of the value itself.

    Yields:
        A place, such as ``0.image``, and the tensor there.
    """
    if isinstance(batch, Tensor):
        yield name or "batch", batch
    parts = dict(enumerate(batch)) if isinstance(batch, list | tuple) else batch
    for key, part in parts.items() if isinstance(parts, Mapping) else ():
        yield from tensors_of(part, f"{name}.{key}" if name else str(key))


def _places(origin: Any) -> list[tuple[int, int]]:
    """The set, and the place in it, of each row of a batch."""
    numbers, rows = rows_of(getattr(origin, "slices", ()))
    return [(int(number), int(row)) for number, row in zip(numbers, rows, strict=True)]

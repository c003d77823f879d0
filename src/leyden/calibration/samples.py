"""Scores and targets as tensors that fit each other."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from leyden.errors import DataError
from leyden.types import Array

__all__ = ["Numbers", "as_binary", "as_tensor"]

Numbers: TypeAlias = Tensor | Array | Sequence[Any]
"""A tensor on any device, an array, or numbers in lists."""


_PROBLEM = "Expected `scores` and `targets` to be numbers"


def as_tensor(numbers: Numbers) -> Tensor:
    """Make a tensor on the CPU that is no part of any graph; of lists, with double precision.

    Raises:
        DataError: If these are no numbers.
    """
    if isinstance(numbers, Tensor):
        return numbers.detach().cpu()
    try:
        array = np.asarray(numbers)
    except ValueError as error:  # of lists of several lengths
        raise DataError(f"{_PROBLEM}, but got: {error}") from error
    if array.dtype.kind not in "biufc":
        raise DataError(f"{_PROBLEM}, but got some of type {array.dtype.name!r}.")
    return torch.tensor(array.astype(np.int64) if array.dtype.kind == "u" else array)


def as_binary(scores: Numbers, targets: Numbers) -> tuple[Tensor, Tensor]:
    """Make scores of the positive class and targets, of any one shape, ready to be compared.

    Args:
        scores: Of any number type.
        targets: True classes, 0 or 1, as many.

    Returns:
        Scores of a float type, and targets as booleans, both ``(samples,)``.

    Raises:
        DataError: If there are none, they are not as many, scores are NaN, or targets are not 0
            or 1.
    """
    flat, true = as_tensor(scores).reshape(-1), as_tensor(targets).reshape(-1)
    if len(flat) != len(true) or not len(flat):
        problem = "Expected as many `scores` as `targets`, and one at least"
        remedy = "Pass scores of the positive class only."
        raise DataError(f"{problem}, but got {len(flat)} and {len(true)}. {remedy}")
    if not flat.is_floating_point():
        flat = flat.double()
    if flat.isnan().any():
        raise DataError(f"Expected `scores` to be numbers, but {int(flat.isnan().sum())} are NaN.")
    if ((true != 0) & (true != 1)).any():
        other = true[(true != 0) & (true != 1)][0].item()
        raise DataError(f"Expected `targets` to be 0 or 1, but got {other!r}.")
    return flat.contiguous(), true.bool()

"""From whatever a step of a model returned to rows with names."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from leyden.errors import DataError
from leyden.lifecycle import make_feeds
from leyden.types import Array

__all__ = ["count_rows", "find_targets", "name_outputs"]

_TARGETS = ("target", "targets", "label", "labels", "y")  # of a batch that is a dictionary
_PRECISE = (torch.float16, torch.bfloat16)  # which neither tables nor NumPy have


def name_outputs(outputs: Any, num_rows: int, *, name: str = "predictions") -> dict[str, Array]:
    """Give everything in the outputs of a batch a name, and a value for each row.

    Args:
        outputs: A tensor or an array ``(rows, ...)`` is called ``name``; the parts of a tuple
            ``name_0``, ``name_1``, ...; those of a dictionary by their keys, with a dot between
            those that are nested. A single number or text counts for each row; ``None`` is left
            out.
        num_rows: Rows of the batch.
        name: What has no name is called.

    Returns:
        Arrays ``(rows, ...)`` by name.

    Raises:
        DataError: If there is something else, or not one value for each row.

    Example:
        >>> found = name_outputs({"loss": torch.tensor(0.5), "code": torch.zeros(2, 3)}, 2)
        >>> found["loss"].tolist(), found["code"].shape
        ([0.5, 0.5], (2, 3))
    """
    leaves = _leaves("" if isinstance(outputs, Mapping) else name, outputs, num_rows)
    return {leaf: _as_rows(leaf, value, num_rows) for leaf, value in leaves}


def _leaves(name: str, value: Any, num_rows: int) -> Iterator[tuple[str, Any]]:
    if value is None:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), item, num_rows)
    elif isinstance(value, list | tuple) and not _is_column(value, num_rows):
        fields = getattr(value, "_fields", None)
        for index, item in enumerate(value):
            yield from _leaves(fields[index] if fields else f"{name}_{index}", item, num_rows)
    else:
        yield name, value


def _is_column(value: list[Any] | tuple[Any, ...], num_rows: int) -> bool:
    return len(value) == num_rows and all(isinstance(item, str | int | float) for item in value)


def _as_rows(name: str, value: Any, num_rows: int) -> Array:
    if isinstance(value, Tensor):
        value = value.detach().to("cpu", torch.float32 if value.dtype in _PRECISE else value.dtype)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # sparse, or lists of many lengths
        raise DataError(f"Expected `{name}` to be an array, but got: {error}.") from error
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype.kind not in "biufcU":
        problem = f"Expected `{name}` to be numbers or texts"
        raise DataError(f"{problem}, but got {type(value).__qualname__}. Leave it out.")
    if array.ndim == 0:
        return np.repeat(array[None], num_rows)
    if len(array) != num_rows:
        problem = f"Expected a value of `{name}` for each of the {num_rows} rows of a batch"
        raise DataError(
            f"{problem}, but got the shape {array.shape}. Return one, or a single number."
        )
    return array


def find_targets(batch: Any) -> Any:
    """Look for what is true of the rows of a batch.

    Args:
        batch: Inputs and labels; or a dictionary with ``target``, ``label`` or the like.

    Returns:
        The labels as they are; ``None`` if there are none.

    Example:
        >>> find_targets(("x", "y")), find_targets({"image": "x", "label": "y"}), find_targets("x")
        ('y', 'y', None)
    """
    if isinstance(batch, Mapping):
        return next((batch[name] for name in _TARGETS if name in batch), None)
    return make_feeds(batch).get("labels")


def count_rows(batch: Any) -> int:
    """Count the rows of a batch by the first tensor in it.

    Args:
        batch: Tensors ``(rows, ...)`` in any structure.

    Raises:
        DataError: If there is no tensor in it.
    """
    for leaf in tree_leaves(batch):
        if isinstance(leaf, Tensor | np.ndarray) and leaf.ndim:
            return len(leaf)
    problem = "Expected batches with a tensor, by which their rows are counted"
    raise DataError(f"{problem}, but got {type(batch).__qualname__}.")

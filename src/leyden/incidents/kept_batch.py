"""A batch as tensors with names, and what they are put together to."""

from collections import namedtuple
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from leyden.errors import DataError

__all__ = ["keep_batch", "kept_batch"]

_LINE = 64  # bytes
_PLAIN = (bool, int, float, str, type(None))


def keep_batch(batch: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Take a batch apart, for files of JSON and of tensors.

    How a tensor lies in memory is kept too: a matrix product may differ in its last bit by that.

    Args:
        batch: Tensors, arrays, numbers and strings in dictionaries, lists and tuples.

    Returns:
        How it is put together, with ``{"unknown": type}`` in place of anything else; and copies of
        its tensors in main memory, by name.

    Example:
        >>> structure, tensors = keep_batch([torch.ones(2), "cat"])
        >>> structure["list"][1], tensors
        ({'value': 'cat'}, {'0': tensor([1., 1.])})
    """
    tensors: dict[str, Tensor] = {}
    return _take(batch, "", tensors), tensors


def kept_batch(structure: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    """Put a batch together again.

    Args:
        structure: What ``keep_batch`` returned.
        tensors: Likewise.

    Returns:
        The batch.

    Raises:
        DataError: If a part of it was of a type that is not kept.

    Example:
        >>> kept_batch(*keep_batch({"image": torch.ones(2), "id": 7}))
        {'image': tensor([1., 1.]), 'id': 7}
    """
    ((kind, content),) = structure.items()
    if kind in ("tensor", "array"):
        tensor = _lay(tensors[content["name"]], content["strides"], content["offset"])
        return tensor if kind == "tensor" else tensor.numpy()
    if kind == "value":
        return content
    if kind in ("list", "tuple"):
        parts = [kept_batch(part, tensors) for part in content]
        return parts if kind == "list" else tuple(parts)
    if kind in ("dict", "fields"):
        named = {key: kept_batch(part, tensors) for key, part in content}
        return named if kind == "dict" else _with_fields(named)
    raise DataError(
        f"Expected the batch to be made of tensors, but a part of it was a {content}, which is not "
        "kept. Replay the run instead."
    )


def _with_fields(named: Mapping[str, Any]) -> Any:
    return namedtuple("Batch", named)(**named)


def _take(value: Any, name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    if isinstance(value, Tensor) and value.layout == torch.strided:
        return {"tensor": _put(value, name, tensors)}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"array": _put(torch.from_numpy(np.ascontiguousarray(value)), name, tensors)}
    if type(value) in _PLAIN and not (type(value) is float and not np.isfinite(value)):
        return {"value": value}
    return _take_parts(value, name, tensors)


def _take_parts(value: Any, name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    def take(pairs: Iterable[tuple[Any, Any]]) -> list[list[Any]]:
        return [
            [key, _take(part, f"{name}.{key}" if name else str(key), tensors)]
            for key, part in pairs
        ]

    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {"fields": take(zip(value._fields, value, strict=True))}
    if isinstance(value, list | tuple):
        parts = [part for _, part in take(enumerate(value))]
        return {"list" if isinstance(value, list) else "tuple": parts}
    if isinstance(value, Mapping) and all(type(key) in (str, int) for key in value):
        return {"dict": take(value.items())}
    return {"unknown": f"{type(value).__module__}.{type(value).__qualname__}"}


def _put(value: Tensor, name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    name = name or "batch"
    tensors[name] = value.detach().to("cpu", copy=True).contiguous()
    # A tensor that repeats its values cannot be written to.
    is_dense = all(
        size < 2 or step > 0 for size, step in zip(value.shape, value.stride(), strict=True)
    )
    strides = value.stride() if is_dense else tensors[name].stride()
    offset = value.data_ptr() % _LINE if value.device.type == "cpu" else 0
    return {"name": name, "strides": list(strides), "offset": offset}


def _lay(values: Tensor, strides: Sequence[int], offset: int) -> Tensor:
    """Lay out a tensor with given strides, beginning so many bytes behind a line of the cache."""
    pairs = zip(values.shape, strides, strict=True)
    span = 1 + sum((size - 1) * step for size, step in pairs) if values.numel() else 0
    room = torch.empty(span + _LINE, dtype=values.dtype, device="cpu")
    begin = (offset - room.data_ptr()) % _LINE // values.element_size()
    laid = room[begin : begin + span].as_strided(values.shape, tuple(strides))
    return laid.copy_(values)

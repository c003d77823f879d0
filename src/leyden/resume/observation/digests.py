"""Values of any kind, told apart by a digest and shown by a few words."""

import hashlib
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import keystr, tree_flatten_with_path

__all__ = ["Digests", "digests_of"]

Digests: TypeAlias = dict[str, tuple[str, str]]
"""For each place in a structure, the digest of the value there, and the value in a few words."""

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_SHOWN = 3  # first elements of a tensor
_SUMMED = 1 << 16  # elements of a tensor whose sum is shown
_LONG = 60  # letters of a plain value


def digests_of(values: Any, name: str = "") -> Digests:
    """Take digests of all tensors, arrays and plain values of a structure.

    Objects of other kinds count by their type only.

    Args:
        values: Tensors of any shape, in lists, tuples, dictionaries ...
        name: Precedes the names of the places.

    Returns:
        Equal for structures that are equal bit for bit.

    Example:
        >>> digests_of({"y": 0.5}, "batch")
        {"batch['y']": ('0.5', '0.5')}
        >>> digests_of([torch.ones(2)])["[0]"][1]
        'float32 (2,): 1.0 1.0, sum 2.0'
    """
    leaves, _ = tree_flatten_with_path(values)
    return {f"{name}{keystr(path)}": _digest(leaf) for path, leaf in leaves}


def _digest(value: Any) -> tuple[str, str]:
    if isinstance(value, np.ndarray | np.generic):
        array = np.ascontiguousarray(value)
        if array.dtype == object:
            return "object", f"array {array.shape} of objects"
        words = f"{array.dtype} {array.shape}: {_first(array.reshape(-1)[:_SHOWN].tolist())}"
        return _hash(f"{array.dtype} {array.shape}", array.tobytes()), words
    if isinstance(value, Tensor):
        return _tensor_digest(value.detach())
    if isinstance(value, _PLAIN):
        words = repr(value)
        return (words, words) if len(words) <= _LONG else (_hash("", words.encode()), words[:_LONG])
    return type(value).__qualname__, f"a {type(value).__qualname__}"


def _tensor_digest(tensor: Tensor) -> tuple[str, str]:
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_quantized:
        tensor = tensor.int_repr()
    flat = tensor.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    kind = f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
    words = f"{kind}: {_first(flat[:_SHOWN].tolist())}"
    if 1 < flat.numel() <= _SUMMED and not flat.is_complex() and flat.dtype.itemsize > 1:
        words += f", sum {flat.sum(dtype=torch.float64).item()!r}"
    return _hash(kind, flat.view(torch.uint8).numpy().data if flat.numel() else b""), words


def _first(values: list[Any]) -> str:
    if len(values) == 1:
        return repr(values[0])
    return " ".join(
        f"{one:.6g}" if isinstance(one, float) and one % 1 else str(one) for one in values
    )


def _hash(kind: str, content: bytes | memoryview) -> str:
    digest = hashlib.sha256(kind.encode())
    digest.update(content)
    return digest.hexdigest()[:16]

"""Norms of tensors, each and together."""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from leyden.errors import ConfigError, suggest
from leyden.introspect.layers import layer_of
from leyden.introspect.tensors import dense, to_host

__all__ = [
    "Norm",
    "Scope",
    "begin",
    "check_norm",
    "finish",
    "finish_with_total",
    "join",
    "measure",
    "norms",
]

Function: TypeAlias = Callable[[Tensor], Tensor]

Norm: TypeAlias = float | Function | tuple[Function, Function]
"""The order of a norm, from above zero to infinity; or ``(outer, inner)``, functions of tensors.

The latter is ``outer(sum(inner(values)))``: ``(torch.sqrt, torch.square)`` is the 2-norm. One
function is the inner one: ``torch.abs`` is the 1-norm.
"""

Scope: TypeAlias = Literal["local", "layer", "global"]
"""A norm for each tensor, for each layer, or one for all."""

TOTAL = "total"
_SCOPES = ("local", "layer", "global")
_PIECE = 4096  # values summed at once on a CPU, whose float32 sums lose digits in the long run
_DETAILED = (torch.float32, torch.float64, torch.complex64, torch.complex128)


def norms(
    tensors: Mapping[str, Tensor], *, norm: Norm = 2.0, scope: Scope = "local"
) -> dict[str, float]:
    """Compute norms, with one transfer to main memory.

    Args:
        tensors: Tensors of any shapes by name, as ``weights`` or ``gradients`` return them.
        norm: Which norm.
        scope: For each tensor, for each layer (all tensors whose names differ in their last part
            only), or one for all, which is called ``total``.

    Returns:
        Norms by name.

    Raises:
        ConfigError: If there is no such norm or scope.

    Example:
        >>> tensors = {"0.weight": torch.tensor([[3.0, 4.0]]), "0.bias": torch.tensor([12.0])}
        >>> norms(tensors)
        {'0.weight': 5.0, '0.bias': 12.0}
        >>> norms(tensors, scope="layer"), norms(tensors, norm=1, scope="global")
        ({'0': 13.0}, {'total': 19.0})
    """
    check_norm(norm)
    return finish(list(tensors), to_host(measure(list(tensors.values()), norm)), norm, scope)


def check_norm(norm: Norm) -> None:
    """Refuse what is not a norm.

    Args:
        norm: Which norm.

    Raises:
        ConfigError: If it is a number that is not above zero, and no function or two.
    """
    functions = norm if isinstance(norm, tuple) else (norm,)
    if not isinstance(norm, int | float) and not all(map(callable, functions)):
        problem = "Expected `norm` to be a number above zero, a function or two functions"
        raise ConfigError(f"{problem}, but got {norm!r}. Pass such as 2.0.")
    if isinstance(norm, int | float) and not norm > 0:
        raise ConfigError(f"Expected `norm` to be above zero, but got {norm!r}.")


@torch.no_grad()
def measure(tensors: Sequence[Tensor], norm: Norm) -> list[Tensor]:
    """Begin norms on the device; nobody waits for it.

    Args:
        tensors: Of any shapes.
        norm: Which norm.

    Returns:
        A number for each, ``()``, for ``finish``: the norm, or the sum before the outer function.
    """
    if not isinstance(norm, int | float):
        return [begin(dense(tensor), norm).sum() for tensor in tensors]
    values = [dense(tensor) if tensor.is_sparse else tensor for tensor in tensors]
    if norm == inf:
        return [_largest(value) for value in values]
    pieces = [_shorten(_in_detail(value), float(norm)) for value in values]
    # The one way to have all of them at once; torch's own clipping of gradients goes it too.
    return list(torch._foreach_norm(pieces, float(norm))) if pieces else []  # noqa: SLF001 - no public one does all at once


def begin(values: Tensor, norm: Norm) -> Tensor:
    """Go as far as a norm goes for each value by itself.

    Args:
        values: Of any shape.
        norm: Which norm.

    Returns:
        What ``join`` makes norms of, of the same shape.
    """
    values = _in_detail(values)
    if isinstance(norm, int | float):
        return values
    return (norm[1] if isinstance(norm, tuple) else norm)(values)


def join(measured: Tensor, norm: Norm) -> Tensor:
    """Make norms of several tensors one.

    Args:
        measured: What ``measure`` returned, stacked, ``(..., tensors)``.
        norm: Which norm.

    Returns:
        The norms of all, ``(...)``.
    """
    if isinstance(norm, int | float):
        joined: Tensor = torch.linalg.vector_norm(measured, float(norm), dim=-1)
        return joined
    return _outer(norm)(measured.sum(-1))


def finish(
    names: Sequence[str], measured: Tensor, norm: Norm, scope: Scope = "local"
) -> dict[str, float]:
    """End in main memory what ``measure`` began.

    Args:
        names: Of the tensors.
        measured: What ``measure`` returned, stacked, ``(tensors,)``.
        norm: Which norm.
        scope: For each tensor, for each layer, or for all.

    Returns:
        Norms by name.

    Raises:
        ConfigError: If there is no such scope.
    """
    if scope not in _SCOPES:
        problem = f"Expected `scope` to be known, but got {scope!r}."
        raise ConfigError(f"{problem} {suggest(str(scope), _SCOPES)}")
    if scope == "global":
        return {TOTAL: join(measured, norm).item()}
    if scope == "local":
        each = measured if isinstance(norm, int | float) else _outer(norm)(measured)
        return dict(zip(names, each.tolist(), strict=True))
    members: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        members.setdefault(layer_of(name), []).append(index)
    return {layer: join(measured[indices], norm).item() for layer, indices in members.items()}


def finish_with_total(
    names: Sequence[str], measured: Tensor, norm: Norm, scope: Scope
) -> dict[str, float]:
    """End in main memory what ``measure`` began, and add the norm of all.

    Args:
        names: Of the tensors.
        measured: What ``measure`` returned, stacked, ``(tensors,)``.
        norm: Which norm.
        scope: For each tensor, for each layer, or nothing but the total.

    Returns:
        Norms by name, ``total`` last.

    Raises:
        ConfigError: If there is no such scope.
    """
    return finish(names, measured, norm, scope) | finish(names, measured, norm, "global")


def _outer(norm: Norm) -> Function:
    return norm[0] if isinstance(norm, tuple) else _as_it_is


def _as_it_is(values: Tensor) -> Tensor:
    return values


def _in_detail(values: Tensor) -> Tensor:
    """Give short numbers enough digits to be summed."""
    return values if values.dtype in _DETAILED else values.float()


def _shorten(values: Tensor, order: float) -> Tensor:
    """Take norms of pieces of a long tensor, whose norm is that of the tensor."""
    rest = values.numel() % _PIECE
    if not values.is_cpu or values.numel() < 2 * _PIECE:
        return values
    if not rest:
        whole: Tensor = torch.linalg.vector_norm(values.reshape(-1, _PIECE), order, dim=1)
        return whole
    flat = values.flatten()
    pieces = torch.linalg.vector_norm(flat[:-rest].view(-1, _PIECE), order, dim=1)
    return torch.cat([pieces, torch.linalg.vector_norm(flat[-rest:], order).view(1)])


def _largest(values: Tensor) -> Tensor:
    """Find the largest magnitude: twenty times as fast on a CPU as the norm of infinite order."""
    if not values.numel():
        return torch.zeros((), device=values.device)
    least, most = (values.abs() if values.is_complex() else values).aminmax()
    return torch.maximum(-least, most)

"""Sums and histograms of tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leyden.errors import ConfigError

__all__ = ["Histogram", "dense", "histograms", "sums", "to_host"]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How the values of a tensor are spread.

    Args:
        counts: Values in each bin, ``(bins,)``.
        edges: Where bins begin and end, ``(bins + 1,)``; the last bin has its end, too.
        num_nonfinite: Values that are NaN or infinite, which are in no bin.
    """

    counts: NDArray[np.int64]
    edges: NDArray[np.float64]
    num_nonfinite: int


def sums(tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """Sum the values of each tensor in double precision, with one transfer to main memory.

    Args:
        tensors: Tensors of any shapes by name.

    Returns:
        Sums by name; those of complex values are complex.

    Example:
        >>> sums({"bias": torch.tensor([1.0, 2.0])})
        {'bias': 3.0}
    """
    with torch.no_grad():
        found = [_sum(dense(tensor)) for tensor in tensors.values()]
    values = to_host(found).tolist()
    return {
        name: value if tensor.is_complex() else value.real
        for (name, tensor), value in zip(tensors.items(), values, strict=True)
    }


@torch.no_grad()
def histograms(
    tensors: Mapping[str, Tensor], *, bins: int = 100, limits: tuple[float, float] | None = None
) -> dict[str, Histogram]:
    """Count how values are spread, with two transfers to main memory: of limits and of counts.

    Args:
        tensors: Tensors of any shapes by name; complex values count by their magnitudes.
        bins: Bins of equal width.
        limits: Where the first bin begins and the last one ends, values beyond being in none; the
            least and the largest finite value of each tensor if ``None``. Where these are the same,
            bins reach half a unit to both sides.

    Returns:
        Histograms by name.

    Raises:
        ConfigError: If there are no bins, or the limits are not in order.

    Example:
        >>> found = histograms({"bias": torch.tensor([0.0, 0.4, 1.0, torch.nan])}, bins=2)["bias"]
        >>> found.counts.tolist(), found.edges.tolist(), found.num_nonfinite
        ([2, 1], [0.0, 0.5, 1.0], 1)
    """
    if bins < 1:
        raise ConfigError(f"Expected `bins` to be at least 1, but got {bins!r}.")
    if limits is not None and not limits[0] < limits[1]:
        raise ConfigError(f"Expected `limits` to be in order, but got {limits!r}.")
    flat = (dense(tensor).flatten() for tensor in tensors.values())
    values = [one.abs() if one.is_complex() else one for one in flat]
    facts = to_host([_facts(value) for value in values]).reshape(-1, 3).tolist()
    edges = [np.linspace(*(limits or _widen(least, most)), bins + 1) for least, most, _ in facts]
    counts = to_host([_count(*pair, bins) for pair in zip(values, edges, strict=True)])
    return {
        name: Histogram(count.numpy().astype(np.int64), edge, int(broken))
        for name, count, edge, (_, _, broken) in zip(tensors, counts, edges, facts, strict=True)
    }


def dense(tensor: Tensor) -> Tensor:
    """Give the values of a tensor without its graph, those of a sparse one only where it has any.

    Args:
        tensor: A tensor, such as the gradient of an embedding.
    """
    tensor = tensor.detach()
    return tensor.coalesce().values() if tensor.is_sparse else tensor


def to_host(found: Sequence[Tensor]) -> Tensor:
    """Bring small tensors of one shape from their devices to main memory, all at once.

    Args:
        found: Tensors, ``(...)`` each.

    Returns:
        Their values in double precision, or as they are if they are whole, ``(tensors, ...)``.
    """
    if not found:
        return torch.zeros(0, dtype=torch.float64)
    if len({one.device for one in found}) > 1:
        found = [one.to(found[0].device) for one in found]
    stacked = torch.stack(list(found)).cpu()
    return stacked.double() if stacked.is_floating_point() else stacked


def _sum(values: Tensor) -> Tensor:
    return values.sum(dtype=torch.complex128 if values.is_complex() else torch.float64)


def _facts(values: Tensor) -> Tensor:
    """Find the least and the largest finite value, and how many are none: ``(3,)``."""
    is_finite = values.isfinite()
    zero, detailed = values.new_zeros((), dtype=torch.float64), values.double()
    if not len(values):
        return torch.stack([zero, zero, zero])
    least = torch.where(is_finite, detailed, torch.inf).amin()
    most = torch.where(is_finite, detailed, -torch.inf).amax()
    return torch.stack([least, most, (~is_finite).sum().double()])


def _widen(least: float, most: float) -> tuple[float, float]:
    if least > most:  # nothing is finite
        return -0.5, 0.5
    return (least - 0.5, most + 0.5) if least == most else (least, most)


def _count(values: Tensor, edges: NDArray[Any], bins: int) -> Tensor:
    finite = values.double().nan_to_num(torch.inf, torch.inf, torch.inf)  # beyond the last bin
    return torch.histc(finite, bins, float(edges[0]), float(edges[-1])).long()

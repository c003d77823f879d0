"""Dead, broken and large values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn
from typing_extensions import override

from leyden.errors import check_number
from leyden.introspect.layers import Layers
from leyden.introspect.look import weights
from leyden.introspect.tensors import dense, to_host

__all__ = [
    "Ailment",
    "Finding",
    "HealthReport",
    "TensorHealth",
    "check_health",
    "check_tensors",
    "check_thresholds",
]


class Ailment(StrEnum):
    """What may be wrong with a value."""

    DEAD = "dead"
    NAN = "NaN"
    INF = "Inf"
    LARGE = "large"


@dataclass(frozen=True, slots=True)
class TensorHealth:
    """How many values of a tensor are dead, broken or large.

    Args:
        name: Of the tensor.
        num_values: Values it has.
        num_dead: Values that are nearly zero.
        num_nan: Values that are not a number.
        num_inf: Infinite values.
        num_large: Finite values of large magnitude.
    """

    name: str
    num_values: int
    num_dead: int
    num_nan: int
    num_inf: int
    num_large: int

    def count(self, ailment: Ailment) -> int:
        """Say how many values have something.

        Args:
            ailment: What they have.
        """
        counts = (self.num_dead, self.num_nan, self.num_inf, self.num_large)
        return dict(zip(Ailment, counts, strict=True))[ailment]

    def fraction(self, ailment: Ailment) -> float:
        """Say which part of the values has something.

        Args:
            ailment: What they have.

        Returns:
            A fraction in [0, 1].
        """
        return self.count(ailment) / max(1, self.num_values)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a tensor.

    Args:
        tensor: The tensor.
        ailment: What its values have.
    """

    tensor: TensorHealth
    ailment: Ailment

    @override
    def __str__(self) -> str:
        share = 100 * self.tensor.fraction(self.ailment)
        counts = f"{self.tensor.count(self.ailment):,} of {self.tensor.num_values:,}"
        return f"{share:.3g}% {self.ailment} ({counts}) -- {self.tensor.name!r}"


@dataclass(frozen=True, slots=True)
class HealthReport:
    """How healthy tensors are; as text, what is wrong with which.

    Args:
        tensors: Each tensor.
        dead_threshold: Magnitude below which a value is dead.
        dead_fraction: Part of a tensor's values that may be dead.
        large_threshold: Magnitude above which a value is large.
        large_fraction: Part of a tensor's values that may be large.
    """

    tensors: tuple[TensorHealth, ...]
    dead_threshold: float
    dead_fraction: float
    large_threshold: float
    large_fraction: float

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong: dead and large values above their fractions, and any NaN and Inf."""
        return tuple(self._find())

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def fraction(self, ailment: Ailment) -> float:
        """Say which part of the values of all tensors has something.

        Args:
            ailment: What they have.

        Returns:
            A fraction in [0, 1].
        """
        num_values = sum(tensor.num_values for tensor in self.tensors)
        return sum(tensor.count(ailment) for tensor in self.tensors) / max(1, num_values)

    def _find(self) -> Iterator[Finding]:
        bearable = {
            Ailment.DEAD: self.dead_fraction,
            Ailment.NAN: 0.0,
            Ailment.INF: 0.0,
            Ailment.LARGE: self.large_fraction,
        }
        for ailment, fraction in bearable.items():
            for tensor in self.tensors:
                if tensor.fraction(ailment) > fraction:
                    yield Finding(tensor, ailment)

    @override
    def __str__(self) -> str:
        if self.findings:
            return "\n".join(map(str, self.findings))
        return (
            f"Nothing dead, NaN, Inf or large in {len(self.tensors)} tensors (dead is below "
            f"{self.dead_threshold:g} in more than {self.dead_fraction:g} of a tensor, large is "
            f"above {self.large_threshold:g} in more than {self.large_fraction:g})."
        )


def check_tensors(
    tensors: Mapping[str, Tensor],
    *,
    dead_threshold: float = 1e-7,
    dead_fraction: float = 1e-3,
    large_threshold: float = 3.0,
    large_fraction: float = 1e-3,
) -> HealthReport:
    """Count dead, NaN, infinite and large values, with one transfer to main memory.

    Args:
        tensors: Tensors of any shapes by name; those of whole numbers are left out.
        dead_threshold: Magnitude below which a value is dead.
        dead_fraction: Part of a tensor's values that may be dead, in [0, 1].
        large_threshold: Magnitude above which a finite value is large.
        large_fraction: Part of a tensor's values that may be large, in [0, 1].

    Returns:
        The counts, and what is wrong.

    Raises:
        ConfigError: If a threshold or a fraction is out of range.

    Example:
        >>> report = check_tensors({"bias": torch.tensor([0.0, torch.nan, 1.0, 5.0])})
        >>> print(report)
        25% dead (1 of 4) -- 'bias'
        25% NaN (1 of 4) -- 'bias'
        25% large (1 of 4) -- 'bias'
    """
    check_thresholds(dead_threshold, dead_fraction, large_threshold, large_fraction)
    chosen = {name: dense(tensor) for name, tensor in tensors.items()}
    chosen = {
        name: tensor
        for name, tensor in chosen.items()
        if tensor.is_floating_point() or tensor.is_complex()
    }
    with torch.no_grad():
        counts = [_count(one, dead_threshold, large_threshold) for one in chosen.values()]
    found = tuple(
        TensorHealth(name, tensor.numel(), *map(int, row))
        for (name, tensor), row in zip(chosen.items(), to_host(counts), strict=True)
    )
    return HealthReport(found, dead_threshold, dead_fraction, large_threshold, large_fraction)


def check_health(
    model: nn.Module,
    layers: Layers = "*",
    *,
    dead_threshold: float = 1e-7,
    dead_fraction: float = 1e-3,
    large_threshold: float = 3.0,
    large_fraction: float = 1e-3,
) -> HealthReport:
    """Count dead, NaN, infinite and large weights of a model.

    Args:
        model: The model.
        layers: Which layers or parameters.
        dead_threshold: Magnitude below which a weight is dead.
        dead_fraction: Part of a tensor's weights that may be dead, in [0, 1].
        large_threshold: Magnitude above which a finite weight is large.
        large_fraction: Part of a tensor's weights that may be large, in [0, 1].

    Returns:
        The counts, and what is wrong; print it to read it.

    Raises:
        ConfigError: If there is no such layer, or a threshold or a fraction is out of range.

    Example:
        >>> model = nn.Linear(2, 2)
        >>> _ = nn.init.constant_(model.weight, 0.5), nn.init.zeros_(model.bias)
        >>> print(check_health(model))
        100% dead (2 of 2) -- 'bias'
    """
    return check_tensors(
        weights(model, layers),
        dead_threshold=dead_threshold,
        dead_fraction=dead_fraction,
        large_threshold=large_threshold,
        large_fraction=large_fraction,
    )


def check_thresholds(
    dead_threshold: float, dead_fraction: float, large_threshold: float, large_fraction: float
) -> None:
    """Refuse thresholds and fractions that are out of range.

    Args:
        dead_threshold: See ``check_tensors``.
        dead_fraction: Likewise.
        large_threshold: Likewise.
        large_fraction: Likewise.

    Raises:
        ConfigError: If one is.
    """
    check_number("dead_threshold", dead_threshold, 0)
    check_number("dead_fraction", dead_fraction, 0, 1)
    check_number("large_threshold", large_threshold, 0)
    check_number("large_fraction", large_fraction, 0, 1)


def _count(values: Tensor, dead_threshold: float, large_threshold: float) -> Tensor:
    magnitudes = values.abs()
    is_inf = magnitudes.isinf()
    found = (
        magnitudes < dead_threshold,
        magnitudes.isnan(),
        is_inf,
        (magnitudes > large_threshold) & ~is_inf,
    )
    return torch.stack([one.sum() for one in found])

"""The norms that monitors of weights and of gradients log alike."""

from collections.abc import Mapping

import torch
from torch import Tensor

from leyden.introspect import Norm, Scope
from leyden.introspect.norms import check_norm, finish, finish_with_total, measure
from leyden.introspect.tensors import to_host

__all__ = ["NormFigures"]


class NormFigures:
    """Measures tensors where they are, and makes figures of them in main memory.

    Args:
        norm: Which norm; see ``leyden.introspect.norms``.
        scope: ``"local"`` for each tensor, ``"layer"`` for each layer, or ``"global"`` for nothing
            but the total.
        name: What the names of the figures begin with.

    Raises:
        ConfigError: If there is no such norm or scope.
    """

    def __init__(self, norm: Norm, scope: Scope, name: str) -> None:
        check_norm(norm)
        finish([], torch.zeros(0), norm, scope)  # a scope that is not known is told now
        self._norm, self._scope, self._name = norm, scope, name

    def measure(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Measure tensors without waiting for their device; give a number by each name."""
        return dict(zip(tensors, measure(list(tensors.values()), self._norm), strict=True))

    def finish(self, measured: Mapping[str, Tensor]) -> dict[str, float]:
        """Give the figures, and the total, by the names that they are logged with."""
        values = to_host(list(measured.values()))
        found = finish_with_total(list(measured), values, self._norm, self._scope)
        return {f"{self._name}/{key}": figure for key, figure in found.items()}

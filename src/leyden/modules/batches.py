"""What a step is given: inputs, perhaps with labels and weights."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor

from leyden.errors import ConfigError

__all__ = ["Batch", "Inputs", "required", "unpack"]

Inputs: TypeAlias = Tensor | Mapping[str, Tensor]
"""Samples, ``(batch, ...)``, or several inputs by their names."""

Batch: TypeAlias = Inputs | Sequence[Any]
"""Inputs; or inputs and labels; or inputs, labels and weights ``(batch,)``."""


def required(labels: Tensor | None) -> Tensor:
    """Give the labels of a batch, which has to have them.

    Raises:
        ConfigError: If there are none.
    """
    if labels is None:
        problem = "Expected batches of inputs and labels, but got inputs alone"
        raise ConfigError(f"{problem}. Put the labels beside the shards, or pass `labels`.")
    return labels


def unpack(batch: Batch) -> tuple[Inputs, Tensor | None, Tensor | None]:
    """Give the inputs, the labels and the weights of a batch, ``None`` where it has none.

    Raises:
        ConfigError: If it has more parts than that.
    """
    if isinstance(batch, Tensor | Mapping):
        return batch, None, None
    if not 1 <= len(batch) <= 3:
        problem = "Expected batches of inputs, labels and weights"
        raise ConfigError(f"{problem}, but got {len(batch)} parts. Serve a dictionary of inputs.")
    inputs, labels, weights = (*batch, None, None)[:3]
    return inputs, labels, weights

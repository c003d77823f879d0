"""What samples count for by their class."""

from typing import Any

import numpy as np
from torch import Tensor

from leyden.data.weights import ClassWeights, RowWeights
from leyden.errors import ConfigError
from leyden.types import Phase

__all__ = ["plain_weights", "weigh_classes"]


def plain_weights(class_weights: Any) -> Any:
    """Turn weights in an array or a tensor into a list, which a checkpoint can hold."""
    return class_weights.tolist() if hasattr(class_weights, "tolist") else class_weights


def weigh_classes(class_weights: ClassWeights, num_classes: int, data: Any = None) -> Tensor | None:
    """Work out the weight of each class.

    Args:
        class_weights: Weights by the numbers of the classes, those left out count 1; or
            ``"balanced"`` for the same sum in every class of the training data.
        num_classes: How many classes there are.
        data: The data module, which knows the training data.

    Returns:
        The weights, ``(num_classes,)``; ``None`` for equal weights, or if they are to be balanced
        and there is no data yet.

    Raises:
        ConfigError: If they are no weights, a class does not exist, or the data cannot be balanced.
        DataError: If its labels are no classes.

    Example:
        >>> weigh_classes({1: 5.0}, 3)
        tensor([1., 5., 1.])
    """
    if class_weights is None:
        return None
    weights = RowWeights(class_weights)
    if class_weights == "balanced":
        if data is None:
            return None
        catalogs = getattr(data, "catalogs", None)
        if catalogs is None:
            problem = "Expected an AutoDataModule for `class_weights='balanced'`"
            raise ConfigError(f"{problem}, but got {type(data).__name__}. Pass a weight by class.")
        weights.fit(catalogs[Phase.TRAIN])
    elif len(class_weights) and (highest := _highest(class_weights)) >= num_classes:
        problem = f"Expected `class_weights` for classes 0 to {num_classes - 1}"
        raise ConfigError(f"{problem}, but got one for {highest}. Leave it out.")
    return weights.of(np.arange(num_classes))


def _highest(weights: Any) -> int:
    return int(max(weights)) if isinstance(weights, dict) else len(weights) - 1

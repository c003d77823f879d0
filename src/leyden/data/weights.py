"""What each training row counts for in the loss."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leyden.errors import ConfigError, DataError
from leyden.shards import Catalog
from leyden.types import Array

__all__ = ["ClassWeights", "RowWeights"]

ClassWeights: TypeAlias = Mapping[int, float] | Sequence[float] | Literal["balanced"] | None
"""A weight for each class; by its number, those left out weigh 1; or the rarer the more."""


class RowWeights:
    """Weights of rows by their classes, and of windows by their places.

    Args:
        class_weights: See ``ClassWeights``; ``"balanced"`` gives every class the same sum.
        window_weights: Weights of the first and of the last window of a batch; those between are on
            the line from one to the other. ``None`` for 1.

    Raises:
        ConfigError: If a weight is no number from zero.

    Example:
        >>> weights = RowWeights({1: 5.0}, (0.5, 1.5))
        >>> weights.of(np.array([0, 0, 1])).tolist(), weights.of_window(0, 3)
        ([1.0, 1.0, 5.0], 0.5)
    """

    def __init__(
        self,
        class_weights: ClassWeights = None,
        window_weights: tuple[float, float] | Sequence[float] | None = None,
    ) -> None:
        self._windows = None if window_weights is None else _check_pair(_listed(window_weights))
        self._is_balanced = isinstance(class_weights, str) and class_weights == "balanced"
        self._table: NDArray[np.float32] | None = None
        if class_weights is not None and not self._is_balanced:
            self._table = _make_table(_listed(class_weights))

    def __bool__(self) -> bool:
        """Say whether any row has a weight of its own."""
        return self._has_classes or self._windows is not None

    @property
    def _has_classes(self) -> bool:
        return self._is_balanced or self._table is not None

    def fit(self, train: Catalog) -> None:
        """Learn how many classes there are, and how often each comes.

        Args:
            train: The training sets.

        Raises:
            DataError: If classes have weights, but the labels are no classes.
            ConfigError: If a class has a weight that does not exist.
        """
        if not self._has_classes:
            return
        classes = [_classes_of(train.read_labels(number)) for number in train.set_numbers]
        counts = np.bincount(np.concatenate(classes))
        if self._is_balanced:
            share = counts.sum() / np.count_nonzero(counts)
            self._table = np.where(counts > 0, share / np.maximum(counts, 1), 1).astype(np.float32)
            return
        table = self._table
        assert table is not None  # noqa: S101 - made from what is not "balanced"
        known = max(len(counts), train.num_classes or 0, *(train.label_shape or ()))
        if len(table) > known:
            problem = f"Expected `class_weights` for classes 0 to {known - 1}"
            raise ConfigError(f"{problem}, but got one for {len(table) - 1}. Leave it out.")

    def of(self, labels: Array) -> Tensor:
        """Look up the weights of rows.

        Args:
            labels: Their classes, ``(rows,)``, or one-hot, ``(rows, classes)``.

        Returns:
            The weights, float32, ``(rows,)``.
        """
        if self._table is None or not len(self._table):
            return torch.ones(len(labels), dtype=torch.float32, device="cpu")
        classes, table = _classes_of(labels), self._table
        inside = classes < len(table)
        return torch.from_numpy(
            np.where(inside, table[np.where(inside, classes, 0)], np.float32(1))
        )

    def of_window(self, index: int, count: int) -> float:
        """Look up the weight of a window.

        Args:
            index: Its place in the batch, from zero.
            count: How many windows the batch has.
        """
        if self._windows is None or count == 1:
            return 1.0
        return float(np.linspace(*self._windows, count)[index])


def _make_table(weights: Mapping[int, float] | Sequence[float]) -> NDArray[np.float32]:
    named = weights if isinstance(weights, Mapping) else dict(enumerate(weights))
    if not all(_is_class(number) and _is_weight(weight) for number, weight in named.items()):
        problem = "Expected `class_weights` to be weights by class, or 'balanced'"
        raise ConfigError(f"{problem}, but got {weights!r}. Pass such as {{0: 1.0, 1: 5.0}}.")
    table = np.ones(max(named, default=-1) + 1, np.float32)
    for number, weight in named.items():
        table[number] = weight
    return table


def _listed(values: Any) -> Any:
    """Turn an array or a tensor into a list."""
    return values.tolist() if hasattr(values, "tolist") else values


def _check_pair(weights: object) -> tuple[float, float]:
    if not isinstance(weights, Sequence) or len(weights) != 2 or not all(map(_is_weight, weights)):
        problem = "Expected `window_weights` to be the weights of the first and the last window"
        raise ConfigError(f"{problem}, but got {weights!r}. Pass such as (0.5, 1.5).")
    first, last = weights
    return float(first), float(last)


def _is_class(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value < float("inf")


def _is_one_hot(labels: Array) -> bool:
    return bool(np.all((labels == 0) | (labels == 1)) and np.all(labels.sum(axis=1) == 1))


def _classes_of(labels: Array) -> NDArray[np.intp]:
    """Number the classes of rows, of which labels may be one-hot."""
    if labels.ndim == 2 and labels.shape[1] > 1 and _is_one_hot(labels):
        return np.asarray(labels.argmax(axis=1), np.intp)
    flat = labels.reshape(len(labels), -1)
    if flat.shape[1] != 1 or np.any(flat < 0) or np.any(flat != np.floor(flat)):
        problem = "Expected labels that are classes, for `class_weights`"
        raise DataError(f"{problem}, but got {labels.dtype} of shape {labels.shape[1:]} for a row.")
    return flat[:, 0].astype(np.intp)

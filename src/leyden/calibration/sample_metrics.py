"""Metrics that give every sample a number, and are the mean of these numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from leyden.errors import DataError

__all__ = ["SAMPLE_METRICS", "SampleMetric"]

_EPSILON = 1e-7


@dataclass(frozen=True, slots=True)
class SampleMetric:
    """A number for every sample, whose mean is the metric.

    Args:
        of_samples: Called with scores and targets as float64, ``(samples, ...)``; gives the
            numbers, ``(samples, ...)``, of which those of one sample are averaged.
        higher_is_better: Which way is better.
        same_shape: Whether scores and targets are of one shape.
    """

    of_samples: Callable[[Tensor, Tensor], Tensor]
    higher_is_better: bool = False
    same_shape: bool = True

    def __call__(self, scores: Tensor, targets: Tensor, weights: Tensor | None = None) -> float:
        """Average over the samples.

        Args:
            scores: What was predicted, ``(samples, ...)``.
            targets: What is true, ``(samples, ...)``.
            weights: Of the samples, ``(samples,)``: each number is multiplied with its weight, and
                the sum is divided by the number of samples; ``None`` for equal weights.

        Raises:
            DataError: If they do not fit each other.
        """
        self._check(scores, targets, weights)
        numbers = self.of_samples(scores.double(), targets.double())
        if numbers.ndim > 1:
            numbers = numbers.flatten(1).mean(1)
        return float((numbers if weights is None else numbers * weights.double()).mean())

    def _check(self, scores: Tensor, targets: Tensor, weights: Tensor | None) -> None:
        fit = scores.shape == targets.shape
        if not self.same_shape:
            fit = scores.ndim == 2 and targets.numel() == len(scores)
        if not fit or not scores.numel():
            problem = "Expected `scores` and `targets` to fit each other"
            shapes = f"{tuple(scores.shape)} and {tuple(targets.shape)}"
            raise DataError(f"{problem}, but got the shapes {shapes}.")
        if weights is not None and weights.shape != scores.shape[:1]:
            problem = f"Expected `weights` of shape ({len(scores)},)"
            raise DataError(f"{problem}, but got {tuple(weights.shape)}.")


def _binary_crossentropy(scores: Tensor, targets: Tensor) -> Tensor:
    scores = scores.clamp(_EPSILON, 1 - _EPSILON)
    return -(targets * scores.log() + (1 - targets) * torch.log1p(-scores))


def _categorical_crossentropy(scores: Tensor, targets: Tensor) -> Tensor:
    shares = scores / scores.sum(-1, keepdim=True)
    return -(targets * shares.clamp(_EPSILON, 1 - _EPSILON).log()).sum(-1)


def _sparse_categorical_crossentropy(scores: Tensor, targets: Tensor) -> Tensor:
    classes = targets.long().reshape(len(scores))
    if ((classes < 0) | (classes >= scores.shape[-1]) | (classes != targets.reshape(-1))).any():
        problem = f"Expected `targets` to be classes from 0 to {scores.shape[-1] - 1}"
        raise DataError(f"{problem}, but got {targets.min().item():g} to {targets.max().item():g}.")
    return _categorical_crossentropy(scores, functional.one_hot(classes, scores.shape[-1]))


def _absolute_percentage_error(scores: Tensor, targets: Tensor) -> Tensor:
    return 100 * (scores - targets).abs() / targets.abs().clamp(min=_EPSILON)


def _squared_log_error(scores: Tensor, targets: Tensor) -> Tensor:
    above = scores.clamp(min=_EPSILON), targets.clamp(min=_EPSILON)
    return (above[0].log1p() - above[1].log1p()) ** 2


def _hinge(scores: Tensor, targets: Tensor) -> Tensor:
    is_binary = bool(((targets == 0) | (targets == 1)).all())
    signs = 2 * targets - 1 if is_binary else targets
    return (1 - signs * scores).clamp(min=0)


def _squared_hinge(scores: Tensor, targets: Tensor) -> Tensor:
    return _hinge(scores, targets) ** 2


def _categorical_hinge(scores: Tensor, targets: Tensor) -> Tensor:
    true = (targets * scores).sum(-1)
    others = ((1 - targets) * scores).amax(-1)
    return (others - true + 1).clamp(min=0)


def _logcosh(scores: Tensor, targets: Tensor) -> Tensor:
    error = scores - targets
    return error + functional.softplus(-2 * error) - torch.log(error.new_tensor(2.0))


def _kullback_leibler_divergence(scores: Tensor, targets: Tensor) -> Tensor:
    scores, targets = scores.clamp(_EPSILON, 1), targets.clamp(_EPSILON, 1)
    return (targets * (targets / scores).log()).sum(-1)


def _poisson(scores: Tensor, targets: Tensor) -> Tensor:
    return scores - targets * (scores + _EPSILON).log()


def _cosine_similarity(scores: Tensor, targets: Tensor) -> Tensor:
    return -functional.cosine_similarity(scores, targets, dim=-1)


def _categorical_accuracy(scores: Tensor, targets: Tensor) -> Tensor:
    return (scores.argmax(-1) == targets.argmax(-1)).double()


def _sparse_categorical_accuracy(scores: Tensor, targets: Tensor) -> Tensor:
    return (scores.argmax(-1) == targets.reshape(len(scores))).double()


SAMPLE_METRICS: Final[Mapping[str, SampleMetric]] = {
    "binary_crossentropy": SampleMetric(_binary_crossentropy),
    "categorical_accuracy": SampleMetric(_categorical_accuracy, higher_is_better=True),
    "categorical_crossentropy": SampleMetric(_categorical_crossentropy),
    "categorical_hinge": SampleMetric(_categorical_hinge),
    "cosine_similarity": SampleMetric(_cosine_similarity),
    "hinge": SampleMetric(_hinge),
    "kullback_leibler_divergence": SampleMetric(_kullback_leibler_divergence),
    "logcosh": SampleMetric(_logcosh),
    "mean_absolute_error": SampleMetric(partial(functional.l1_loss, reduction="none")),
    "mean_absolute_percentage_error": SampleMetric(_absolute_percentage_error),
    "mean_squared_error": SampleMetric(partial(functional.mse_loss, reduction="none")),
    "mean_squared_logarithmic_error": SampleMetric(_squared_log_error),
    "poisson": SampleMetric(_poisson),
    "sparse_categorical_accuracy": SampleMetric(
        _sparse_categorical_accuracy, higher_is_better=True, same_shape=False
    ),
    "sparse_categorical_crossentropy": SampleMetric(
        _sparse_categorical_crossentropy, same_shape=False
    ),
    "squared_hinge": SampleMetric(_squared_hinge),
}
"""By name, as Keras names and defines them; the cosine similarity is negative there, a loss."""

"""Scalars that are reduced as they come and logged once an epoch."""

from collections.abc import Iterator
from typing import Any, Final, Literal, TypeAlias

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from leyden.errors import ConfigError, suggest

__all__ = ["Reduction", "ScalarBuffer", "ScalarRecorder"]

Reduction: TypeAlias = Literal["mean", "sum", "min", "max"]
"""What becomes of an epoch's values."""

_Value: TypeAlias = Tensor | float


def _mean(so_far: _Value, value: _Value, batch_size: int) -> _Value:
    return so_far + value * batch_size


def _sum(so_far: _Value, value: _Value, _batch_size: int) -> _Value:
    return so_far + value


def _min(so_far: _Value, value: _Value, _batch_size: int) -> _Value:
    return torch.minimum(torch.as_tensor(so_far), torch.as_tensor(value))


def _max(so_far: _Value, value: _Value, _batch_size: int) -> _Value:
    return torch.maximum(torch.as_tensor(so_far), torch.as_tensor(value))


_REDUCTIONS: Final = {
    "mean": (_mean, 0.0),
    "sum": (_sum, 0.0),
    "min": (_min, float("inf")),
    "max": (_max, -float("inf")),
}


class ScalarBuffer:
    """Reduces scalars by name, where they are: on a GPU nothing waits for them.

    Example:
        >>> buffer = ScalarBuffer()
        >>> buffer.add("loss", 1.0, batch_size=3)
        >>> buffer.add("loss", 5.0, batch_size=1)
        >>> list(buffer.take())
        [('loss', 2.0, 'mean', 4)]
    """

    def __init__(self) -> None:
        self._values: dict[str, tuple[_Value, Reduction, int]] = {}

    def add(
        self, name: str, value: _Value, *, batch_size: int = 1, reduction: Reduction = "mean"
    ) -> None:
        """Add a value.

        Args:
            name: Of the scalar.
            value: A number, or a tensor with one element.
            batch_size: How much it counts in the mean.
            reduction: What becomes of the values.

        Raises:
            ConfigError: If the reduction is not known, or another one than before.
        """
        if isinstance(value, Tensor):
            value = value.detach()
        so_far, before, weight = self._values.get(name) or _begin(reduction)
        if before != reduction:
            problem = f"Expected `reduction` of {name!r} to be {before!r} all the time"
            raise ConfigError(f"{problem}, but got {reduction!r}.")
        reduce, _ = _REDUCTIONS[reduction]
        self._values[name] = reduce(so_far, value, batch_size), reduction, weight + batch_size

    def take(self) -> Iterator[tuple[str, _Value, Reduction, int]]:
        """Hand out and forget what was added.

        Yields:
            Name, reduced value, reduction and the number of samples.
        """
        values, self._values = self._values, {}
        for name, (value, reduction, weight) in values.items():
            yield name, value / weight if reduction == "mean" else value, reduction, weight

    def clear(self) -> None:
        """Forget what was added."""
        self._values = {}


def _begin(reduction: Reduction) -> tuple[_Value, Reduction, int]:
    if reduction not in _REDUCTIONS:
        problem = f"Expected `reduction` to be known, but got {reduction!r}"
        raise ConfigError(f"{problem}. {suggest(str(reduction), _REDUCTIONS)}")
    _, first = _REDUCTIONS[reduction]
    return first, reduction, 0


class ScalarRecorder(Callback):
    """Logs a module's recorded scalars at the end of each epoch, validation and test."""

    def __init__(self) -> None:
        super().__init__()
        self._buffers = {stage: ScalarBuffer() for stage in ("train", "validate", "test")}

    def buffer(self, trainer: Trainer) -> ScalarBuffer:
        """Give the buffer of what the trainer is doing.

        Args:
            trainer: A trainer that is running.

        Returns:
            The buffer.

        Raises:
            ConfigError: If the trainer does what nothing is logged of.
        """
        stage = trainer.state.stage
        if stage is None or stage.value not in self._buffers:
            problem = "Expected scalars to be recorded in training, validation or test"
            raise ConfigError(f"{problem}, but got stage {stage and stage.value!r}.")
        return self._buffers[stage.value]

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for buffer in self._buffers.values():
            buffer.clear()  # of a run that was broken off

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log(trainer, pl_module, "train")

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log(trainer, pl_module, "validate")

    @override
    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log(trainer, pl_module, "test")

    def _log(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        options: dict[str, Any] = {"on_epoch": True, "sync_dist": trainer.world_size > 1}
        for name, value, reduction, weight in self._buffers[stage].take():
            pl_module.log(name, value, reduce_fx=reduction, batch_size=weight, **options)

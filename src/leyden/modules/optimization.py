"""Optimizers and learning-rate schedules by name."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from lightning.pytorch.utilities.types import LRSchedulerConfigType, OptimizerLRScheduler
from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

from leyden.errors import ConfigError
from leyden.recipes import Recipe, build

__all__ = ["OPTIMIZERS", "SCHEDULERS", "configure"]

OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "sgd": SGD,
}
SCHEDULERS: dict[str, Callable[..., Any]] = {
    "constant": ConstantLR,
    "cosine": CosineAnnealingLR,
    "exponential": ExponentialLR,
    "onecycle": OneCycleLR,
    "plateau": ReduceLROnPlateau,
    "step": StepLR,
}


def configure(
    parameters: Iterable[Parameter], optimizer: Recipe, scheduler: Recipe | None
) -> OptimizerLRScheduler:
    """Make an optimizer and its schedule, in the form that Lightning takes.

    Args:
        parameters: What is optimised.
        optimizer: Recipe of the optimizer.
        scheduler: Recipe of the schedule, which may say when it steps (``interval``: ``"epoch"`` or
            ``"step"``) and what a plateau is of (``monitor``); ``None`` for a constant rate.

    Returns:
        What ``configure_optimizers`` returns.

    Raises:
        ConfigError: If a name is not known, or the arguments do not fit.
    """
    made: Optimizer = build(optimizer, OPTIMIZERS, parameters, what="optimizer")
    if scheduler is None:
        return made
    recipe = dict(scheduler) if isinstance(scheduler, Mapping) else scheduler
    interval, monitor = "epoch", "val/loss"
    if isinstance(recipe, dict):
        interval, monitor = recipe.pop("interval", interval), recipe.pop("monitor", monitor)
    if interval not in ("epoch", "step"):
        problem = "Expected `interval` of the scheduler to be 'epoch' or 'step'"
        raise ConfigError(f"{problem}, but got {interval!r}.")
    schedule = build(recipe, SCHEDULERS, made, what="scheduler")
    timed = {"scheduler": schedule, "interval": interval, "monitor": monitor}
    return {"optimizer": made, "lr_scheduler": cast("LRSchedulerConfigType", timed)}

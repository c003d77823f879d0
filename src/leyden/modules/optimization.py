"""Optimizers and learning-rate schedules by name."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from lightning.pytorch.utilities.types import LRSchedulerConfigType, OptimizerLRScheduler
from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from leyden.modules.scheduling import make_schedule
from leyden.recipes import Recipe, build

__all__ = ["OPTIMIZERS", "configure"]

OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "sgd": SGD,
}


def configure(
    parameters: Iterable[Parameter],
    optimizer: Recipe,
    scheduler: Recipe | None,
    *,
    trainer: Any = None,
) -> OptimizerLRScheduler:
    """Make an optimizer and its schedule, in the form that Lightning takes.

    Args:
        parameters: What is optimised.
        optimizer: Recipe of the optimizer. With ``decay_biases: false``, its ``weight_decay`` is
            that of matrices and kernels only, not of biases and of the scales of normalisation.
        scheduler: Recipe of the schedule, see ``make_schedule``; ``None`` for a constant rate.
        trainer: The trainer, which knows how long the run is.

    Returns:
        What ``configure_optimizers`` returns.

    Raises:
        ConfigError: If a name is not known, or the arguments do not fit.
    """
    made = _make_optimizer(list(parameters), optimizer)
    if scheduler is None:
        return made
    timed = make_schedule(made, scheduler, trainer)
    return {"optimizer": made, "lr_scheduler": cast("LRSchedulerConfigType", timed)}


def _make_optimizer(parameters: list[Parameter], recipe: Recipe) -> Optimizer:
    groups: list[Any] = parameters
    if isinstance(recipe, Mapping) and "decay_biases" in recipe:
        recipe = dict(recipe)
        if not recipe.pop("decay_biases"):
            vectors = [parameter for parameter in parameters if parameter.ndim < 2]
            others = [parameter for parameter in parameters if parameter.ndim >= 2]
            groups = [{"params": others}, {"params": vectors, "weight_decay": 0.0}]
    made: Optimizer = build(recipe, OPTIMIZERS, groups, what="optimizer")
    return made

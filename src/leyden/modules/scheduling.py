"""Learning-rate schedules by name, and when they step."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from leyden.errors import ConfigError
from leyden.lifecycle import count_batches
from leyden.recipes import Recipe, build
from leyden.types import Phase

__all__ = ["SCHEDULERS", "make_schedule"]

SCHEDULERS: dict[str, Callable[..., Any]] = {
    "constant": ConstantLR,
    "cosine": CosineAnnealingLR,
    "exponential": ExponentialLR,
    "linear": LinearLR,
    "onecycle": OneCycleLR,
    "plateau": ReduceLROnPlateau,
    "step": StepLR,
}


def make_schedule(optimizer: Optimizer, recipe: Recipe, trainer: Any = None) -> dict[str, Any]:
    """Make a schedule, and say when it steps.

    Args:
        optimizer: Whose learning rate it is.
        recipe: Name, dictionary or factory of the schedule. A dictionary may also have

            - ``interval``: ``"epoch"`` or ``"step"``, after each of which it steps;
            - ``frequency``: after how many of these, if not after each; steps are counted anew in
              every epoch;
            - ``monitor``: the metric that a plateau is of, the loss of the validation if there is
              one, else that in training;
            - ``warmup``: for how many of its steps the rate rises evenly at first;
            - ``"auto"`` as the value of an argument: how many steps it makes in the whole run,
              after those of the warm-up.
        trainer: The trainer, which knows how long the run is.

    Returns:
        What Lightning takes as ``lr_scheduler``.

    Raises:
        ConfigError: If a name is not known, or the arguments do not fit.
    """
    settings = dict(recipe) if isinstance(recipe, Mapping) else {}
    interval = _take(settings, "interval", "epoch")
    monitor = _take(settings, "monitor", None) or _loss(trainer)
    if interval not in ("epoch", "step"):
        problem = "Expected `interval` of the scheduler to be 'epoch' or 'step'"
        raise ConfigError(f"{problem}, but got {interval!r}.")
    frequency = _take_whole(settings, "frequency", 1)
    warmup = _take_whole(settings, "warmup", 0)
    if "auto" in settings.values():
        total = max(_count_steps(trainer, interval, frequency) - warmup, 1)
        settings = {name: total if value == "auto" else value for name, value in settings.items()}
    schedule = build(settings or recipe, SCHEDULERS, optimizer, what="scheduler")
    if warmup:
        schedule = _warm_up(schedule, optimizer, warmup)
    return {
        "scheduler": schedule,
        "interval": interval,
        "frequency": frequency,
        "monitor": monitor,
    }


def _take(settings: dict[str, Any], name: str, default: Any) -> Any:
    value = settings.pop(name, None)
    return default if value is None else value


def _take_whole(settings: dict[str, Any], name: str, least: int) -> int:
    value = _take(settings, name, least)
    if not isinstance(value, int) or value < least:
        problem = f"Expected `{name}` of the scheduler to be a whole number from {least}"
        raise ConfigError(f"{problem}, but got {value!r}.")
    return value


def _warm_up(schedule: Any, optimizer: Optimizer, warmup: int) -> SequentialLR:
    if isinstance(schedule, ReduceLROnPlateau | OneCycleLR):
        problem = "Expected a schedule that can begin later, for a `warmup`"
        raise ConfigError(f"{problem}, but got {type(schedule).__name__}. Leave `warmup` out.")
    rise = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
    return SequentialLR(optimizer, [rise, schedule], milestones=[warmup])


def _loss(trainer: Any) -> str:
    """Name the loss that tells how good the weights are."""
    if trainer is None:
        return f"{Phase.VAL}/loss"
    has = getattr(getattr(trainer, "datamodule", None), "has", None)
    is_validated = trainer.enable_validation and (has is None or has(Phase.VAL))
    return f"{Phase.VAL if is_validated else Phase.TRAIN}/loss"


def _count_steps(trainer: Any, interval: str, frequency: int) -> int:
    """Count the steps that a schedule makes in the whole run."""
    if interval == "step" and frequency > 1:
        problem = "Expected a `frequency` of 1 for the scheduler's 'auto' where it counts steps"
        raise ConfigError(f"{problem}, but got {frequency}. Pass a number instead of 'auto'.")
    count = _count_optimizer_steps if interval == "step" else _count_epochs
    steps = math.inf if trainer is None else count(trainer)
    if steps == math.inf:
        problem = f"Expected a run of a known number of {interval}s for the scheduler's 'auto'"
        raise ConfigError(f"{problem}, but it has none. Pass `max_epochs`, or a number.")
    return int(steps) // frequency


def _count_optimizer_steps(trainer: Any) -> float:
    steps = float(trainer.estimated_stepping_batches)  # which makes the loader, if there is none
    if trainer.max_epochs == -1 or trainer.num_training_batches == math.inf:
        return math.inf if steps == -1 else steps
    total = sum(_steps_by_epoch(trainer))
    return total if trainer.max_steps == -1 else min(total, trainer.max_steps)


def _count_epochs(trainer: Any) -> float:
    if trainer.max_epochs in (None, -1):
        return math.inf  # how many batches an epoch has is not known yet
    if trainer.max_steps == -1:
        return float(trainer.max_epochs)
    _ = trainer.estimated_stepping_batches  # which makes the loader, if there is none
    if trainer.num_training_batches == math.inf:
        return math.inf
    return sum(1 for _ in _steps_by_epoch(trainer))


def _steps_by_epoch(trainer: Any) -> Iterator[int]:
    """Count the optimizer's steps in each epoch, until the run has enough of either."""
    total = 0
    for epoch in range(max(trainer.max_epochs, 1)):
        steps = math.ceil(_count_batches(trainer, epoch) / _accumulation(trainer, epoch))
        total += steps
        yield steps
        if total >= trainer.max_steps != -1:
            break


def _count_batches(trainer: Any, epoch: int) -> int:
    length = count_batches(trainer, epoch)
    if length is None:
        return int(trainer.num_training_batches)
    limit = trainer.limit_train_batches
    return min(length, limit) if isinstance(limit, int) else int(length * limit)


def _accumulation(trainer: Any, epoch: int) -> int:
    """Tell how many batches a step of the optimizer is of."""
    scheduled = [
        callback.get_accumulate_grad_batches(epoch)
        for callback in trainer.callbacks
        if isinstance(callback, GradientAccumulationScheduler)
    ]
    return int([trainer.accumulate_grad_batches, *scheduled][-1])

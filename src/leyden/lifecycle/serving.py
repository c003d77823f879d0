"""Which loaders and which data module the steps of a trainer take their batches from.

It asks the loop that runs, and so knows private names of Lightning's trainer. In public, a trainer
that has done other things before still names the data module and the validation loaders of then.
"""

from contextlib import suppress
from typing import Any

from leyden.types import Phase

__all__ = ["count_batches", "data_in_use", "find_origin", "plans_in_use"]


def plans_in_use(trainer: Any, loader_index: int = 0) -> list[Any]:
    """Give the plan of every loader that the trainer's present step takes its batch from.

    Args:
        trainer: A Lightning trainer. A loader that knows its batches has the attribute ``plan``, of
            which ``plan[batch_index]`` says where a batch of the epoch comes from, and
            ``plan.windows`` how many windows of time each batch is handed out in.
        loader_index: Which of several loaders it is, where each has its turn.

    Returns:
        The plans; ``None`` for a loader without one.
    """
    combined = getattr(getattr(trainer, "_active_loop", None), "_combined_loader", None)
    if combined is None:
        return []
    loaders = combined.flattened
    if not trainer.training:  # where they may come all at once
        loaders = loaders[loader_index : loader_index + 1]
    plans = [getattr(loader, "plan", None) for loader in loaders]
    return [plan if hasattr(plan, "windows") else None for plan in plans]


def data_in_use(trainer: Any) -> Any:
    """Give the data module that knows the batches of loaders that do not.

    Args:
        trainer: A Lightning trainer.

    Returns:
        The data module; ``None`` if loaders were handed to the trainer, or if the module has the
        method ``plan`` of ``AutoDataModule``: its loaders do know, and others it knows nothing of.
    """
    data = _data_module(trainer)
    is_seen = getattr(trainer, "_active_loop", None) is not None
    return None if is_seen and callable(getattr(data, "plan", None)) else data


def _data_module(trainer: Any) -> Any:
    data, loop = trainer.datamodule, getattr(trainer, "_active_loop", None)
    return data if loop is None or loop._data_source.instance is data else None


def count_batches(trainer: Any, epoch: int) -> int | None:
    """Count the batches that there are in an epoch of training; another may have more.

    Args:
        trainer: A Lightning trainer that has its training loader.
        epoch: Which epoch, from zero.

    Returns:
        The length of ``plan("train", epoch)`` of the data module, if its loader has a plan, see
        ``plans_in_use``; ``None`` if nobody knows.
    """
    plans = plans_in_use(trainer)
    make_plan = getattr(_data_module(trainer), "plan", None)
    if len(plans) != 1 or plans[0] is None or not callable(make_plan):
        return None
    return len(make_plan(Phase.TRAIN, epoch))


def find_origin(trainer: Any, phase: Phase, batch_index: int, loader_index: int = 0) -> Any:
    """Tell where the batch of the trainer's present step comes from.

    Args:
        trainer: A Lightning trainer. The loader in use knows if it has a plan, see
            ``plans_in_use``; else the data module, of the first loader, if it has a method
            ``origin(phase, epoch, batch_index)``.
        phase: What the batch is used for.
        batch_index: Place of the step among those of its epoch, from zero.
        loader_index: Which of several loaders it is from, where each has its turn.

    Returns:
        A ``BatchOrigin``, or what else they return; ``None`` if nobody knows.
    """
    plans = plans_in_use(trainer, loader_index)
    origin = getattr(data_in_use(trainer), "origin", None)
    with suppress(IndexError):  # it is set to a place, or ends at one, that the trainer is not at
        if len(plans) == 1 and plans[0] is not None:
            return plans[0][batch_index]
        if callable(origin) and loader_index == 0:
            return origin(phase, trainer.current_epoch, batch_index)
    return None

"""The steps that metrics are logged with, where a ledger counts those of optimizers."""

from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from leyden.types import Phase

__all__ = ["logged_steps", "to_logged_step"]


def logged_steps(ledger: Any) -> NDArray[np.int64]:
    """Give the step of the metrics beside each row of a ledger.

    Both count the steps of the optimizer, metrics from zero; but where batches have steps of
    several optimizers, or several of one, Lightning counts the batches when it logs.

    Args:
        ledger: What ``read_ledger`` returns.

    Returns:
        Steps from zero, ``(rows,)``.
    """
    phase, epoch, batch, step = (
        ledger[name].to_numpy() for name in ("phase", "epoch", "batch", "step")
    )
    is_train = phase == Phase.TRAIN.value
    follows = (np.diff(epoch[is_train]) == 0) & (np.diff(batch[is_train]) == 1)
    several = np.diff(step[is_train])[follows] > 1
    counted: NDArray[np.int64] = np.cumsum(is_train) if several.any() else step
    return np.maximum(counted - 1, 0)


def to_logged_step(ledger: Any, step: int) -> int:
    """Give the step of the metrics of the batch that a step of an optimizer is part of.

    Args:
        ledger: What ``read_ledger`` returns; ``None`` if there is none.
        step: The step, from one.

    Returns:
        Its step, from zero.
    """
    if ledger is None:
        return step - 1
    train = ledger.filter(pc.equal(ledger["phase"], Phase.TRAIN.value))
    ends, logged = train["step"].to_numpy(), logged_steps(train)
    place = int(np.searchsorted(ends, step))  # of the batch that ends with it, or after it
    if place < len(ends):
        return int(logged[place])
    counts_batches = bool(len(ends)) and logged[-1] != ends[-1] - 1
    return len(ends) if counts_batches else step - 1  # it ended the training

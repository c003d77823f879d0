"""How things were when loaders were made.

A loader depends on what there was when the project was asked for it: random numbers for a subset,
the number of the epoch, a size of images that grows. A process that goes on is asked anew, and sees
the same.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from lightning.pytorch import LightningModule, Trainer

from leyden.generators import global_state, restore_global_state
from leyden.resume.attributes import Baseline
from leyden.resume.own_generators import own_generator_states, restore_own_generators
from leyden.resume.rank_state import generator_owners
from leyden.resume.trainer_internals import at_epoch

__all__ = ["Making", "as_made", "making_of"]

Making: TypeAlias = Mapping[str, Any]
"""What `making_of` returned, perhaps in another process."""


def making_of(trainer: Trainer, module: LightningModule, baseline: Baseline) -> dict[str, Any]:
    """Write down how things are, before loaders are made.

    Args:
        trainer: The trainer.
        module: Its module.
        baseline: How things were before the training.

    Returns:
        Tensors and plain values.
    """
    return {
        "changes": baseline.changes(trainer, module),
        "generators": global_state(),
        "own_generators": own_generator_states(module, generator_owners(trainer)),
        "epoch": trainer.current_epoch,
    }


@contextmanager
def as_made(
    making: Making, trainer: Trainer, module: LightningModule, baseline: Baseline
) -> Iterator[None]:
    """Have things be as they were then, while the context lasts.

    Args:
        making: What `making_of` returned.
        trainer: The trainer.
        module: Its module.
        baseline: How things were before the training of this process.
    """
    now = making_of(trainer, module, baseline)
    _put(making, trainer, module, baseline)
    try:
        with at_epoch(trainer, making["epoch"]):
            yield
    finally:
        _put(now, trainer, module, baseline)


def _put(making: Making, trainer: Trainer, module: LightningModule, baseline: Baseline) -> None:
    baseline.restore(trainer, module, making["changes"])
    restore_own_generators(module, generator_owners(trainer), making["own_generators"])
    restore_global_state(making["generators"])

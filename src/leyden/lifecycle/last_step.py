"""When an epoch's training is done, which a validation at its end comes after."""

from typing import Any

__all__ = ["is_last_step"]


def is_last_step(trainer: Any) -> bool:
    """Tell whether no train step of the epoch comes after the one that was just made.

    Args:
        trainer: A Lightning trainer that is fitting, between two steps or before a validation.

    Returns:
        Whether the epoch's steps are done.
    """
    if trainer.is_last_batch or 0 <= trainer.max_steps <= trainer.global_step:
        return True
    may_stop = trainer.current_epoch >= (trainer.min_epochs or 0)
    return bool(
        trainer.should_stop and may_stop and trainer.global_step >= (trainer.min_steps or 0)
    )

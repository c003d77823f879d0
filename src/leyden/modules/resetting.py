"""Modules of leyden reset their recurrent parts without being told."""

from typing import Any

from lightning import Callback, LightningModule

from leyden.lifecycle import StateResetting, stateful_parts

__all__ = ["attach_state_reset", "trainer_of"]


def trainer_of(module: LightningModule) -> Any:
    """Give the trainer of a module.

    Args:
        module: The module.

    Returns:
        The trainer; ``None`` outside of one.
    """
    try:
        return module.trainer
    except RuntimeError:
        return None


def attach_state_reset(module: LightningModule) -> None:
    """Have the trainer of a module, if there is one, reset its stateful parts, if it has any.

    Args:
        module: One whose layers are made.
    """
    callbacks: list[Callback] | None = getattr(trainer_of(module), "callbacks", None)
    if callbacks is None or any(isinstance(callback, StateResetting) for callback in callbacks):
        return
    if stateful_parts(module):
        callbacks.insert(0, _StateReset())  # before checkpoints, which then hold no dead state


class _StateReset(StateResetting, Callback):
    """Resets the stateful parts of a module between batches."""

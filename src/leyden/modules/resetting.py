"""Modules of leyden reset their recurrent parts without being told."""

from lightning import Callback, LightningModule
from typing_extensions import override

from leyden.lifecycle import StateResetting, stateful_parts

__all__ = ["attach_state_reset"]


def attach_state_reset(module: LightningModule) -> None:
    """Have the trainer of a module reset its stateful parts, if it has any.

    Args:
        module: One whose layers are made, and that has a trainer.
    """
    callbacks: list[Callback] = getattr(module.trainer, "callbacks", [])
    if stateful_parts(module) and not any(isinstance(c, StateResetting) for c in callbacks):
        callbacks.insert(0, _StateReset())  # checkpoints, which come last, hold no dead state


class _StateReset(StateResetting, Callback):
    """Resets the stateful parts of a module between batches."""

    @property
    @override
    def state_key(self) -> str:
        return "leyden.modules.StateReset"

"""The loss of a batch, from what Lightning differentiates."""

from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

__all__ = ["gradient_scaler", "true_loss"]


def gradient_scaler(trainer: Trainer) -> Any:
    """Give what scales losses of half precision, so that gradients do not vanish.

    Args:
        trainer: A trainer.

    Returns:
        A ``torch.amp.GradScaler``; ``None`` where nothing is scaled.
    """
    return getattr(trainer.precision_plugin, "scaler", None)


def true_loss(trainer: Trainer, loss: Tensor) -> Tensor:
    """Undo what was done to a loss for the sake of its gradients; nobody waits for the device.

    Args:
        trainer: The trainer.
        loss: What ``on_before_backward`` is given, ``()``.

    Returns:
        The loss as the ledger has it, ``()``, detached.
    """
    loss = loss.detach().reshape(())
    scaler = gradient_scaler(trainer)
    if scaler is not None:
        loss = loss / scaler.scale(torch.ones((), device=loss.device))
    if trainer.lightning_module.automatic_optimization and trainer.accumulate_grad_batches > 1:
        loss = loss * trainer.accumulate_grad_batches  # Lightning has divided by it
    return loss

"""The loss of a batch, from what Lightning differentiates."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

__all__ = ["as_recorded", "gradient_scaler", "loss_divisor", "true_loss"]


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
    divisor = loss_divisor(trainer, trainer.lightning_module)
    return loss * divisor if divisor > 1 else loss


def loss_divisor(trainer: Trainer | None, module: LightningModule) -> int:
    """Say what Lightning divides the loss of a batch by, for gradients that are accumulated.

    Args:
        trainer: The trainer; ``None`` if there is none.
        module: Its module.
    """
    if trainer is None or not module.automatic_optimization:
        return 1
    return trainer.accumulate_grad_batches


def as_recorded(loss: Tensor, trainer: Trainer | None, module: LightningModule) -> Tensor:
    """Divide and multiply a loss as was done in the run, which may have cost it its last bit.

    Args:
        loss: What the step returned, ``()``.
        trainer: See ``loss_divisor``.
        module: Likewise.
    """
    divisor = loss_divisor(trainer, module)
    return loss / divisor * divisor

"""Losses by name."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from typing_extensions import override

from leyden.errors import ConfigError
from leyden.recipes import build

__all__ = ["LOSSES", "DiceLoss", "Loss", "make_loss"]

Loss: TypeAlias = str | Mapping[str, Any] | Callable[..., Any]
"""A name, a dictionary with the name under ``type`` and arguments, a function, or a class."""


class DiceLoss(nn.Module):
    """One minus twice the overlap of segments over their sum, for each class and sample.

    It is made of probabilities, so that it can be differentiated.

    Args:
        smooth: Added to the overlap and to the sum, for classes that a sample does not have.
        reduction: ``"mean"`` over the samples, or ``"none"``.

    Example:
        >>> from torch import tensor
        >>> scores, targets = tensor([[20.0, 20.0, -20.0]]), tensor([[1.0, 0.0, 0.0]])
        >>> round(DiceLoss(smooth=0)(scores, targets).item(), 4)  # 1 - 2 * 1 / (2 + 1)
        0.3333
    """

    def __init__(self, *, smooth: float = 1.0, reduction: Literal["mean", "none"] = "mean") -> None:
        super().__init__()
        if reduction not in ("mean", "none"):
            problem = "Expected `reduction` of the loss to be 'mean' or 'none'"
            raise ConfigError(f"{problem}, but got {reduction!r}.")
        self.smooth, self.reduction = smooth, reduction

    @override
    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Compare scores with classes, or the scores of single segments with 0 and 1.

        Args:
            scores: Before the softmax, ``(batch, classes, ...)``; or before the sigmoid, with the
                shape of the targets.
            targets: Classes, ``(batch, ...)``, or for each place 0 or 1.

        Returns:
            A scalar, or ``(batch,)``.
        """
        if scores.shape == targets.shape:
            shares, truth = scores.sigmoid().unsqueeze(1), targets.unsqueeze(1)
        else:
            shares = torch.softmax(scores, dim=1)
            truth = one_hot(targets.long(), scores.shape[1]).movedim(-1, 1)
        shares = shares.reshape(*shares.shape[:2], -1)
        truth = truth.to(shares).reshape(shares.shape)
        overlap = 2 * (shares * truth).sum(dim=2) + self.smooth
        total = (shares + truth).sum(dim=2) + self.smooth
        losses = 1 - (overlap / total).mean(dim=1)
        return losses if self.reduction == "none" else losses.mean()


LOSSES: dict[str, Callable[..., Any]] = {
    "bce": nn.BCEWithLogitsLoss,
    "cross_entropy": nn.CrossEntropyLoss,
    "dice": DiceLoss,
    "huber": nn.HuberLoss,
    "l1": nn.L1Loss,
    "mae": nn.L1Loss,
    "mse": nn.MSELoss,
    "multi_margin": nn.MultiMarginLoss,
    "poisson_nll": nn.PoissonNLLLoss,
    "smooth_l1": nn.SmoothL1Loss,
}
"""The losses that have a short name; any other has its import path."""


def make_loss(loss: Loss) -> Callable[[Tensor, Tensor], Tensor]:
    """Make a loss from its name or its recipe.

    Args:
        loss: What to make; a function, such as an object of torch's classes, is left as it is.

    Returns:
        A function of outputs and targets, both ``(batch, ...)``.

    Raises:
        ConfigError: If the name is not known, or the arguments do not fit.

    Example:
        >>> make_loss({"type": "huber", "delta": 2.0})
        HuberLoss()
    """
    if callable(loss) and not isinstance(loss, type):
        return loss
    made: Callable[[Tensor, Tensor], Tensor] = build(loss, LOSSES, what="loss")
    return made

"""Losses in which samples count more or less."""

from collections.abc import Callable

from torch import Tensor

from leyden.errors import ConfigError, DataError

__all__ = ["weighted_loss"]


def weighted_loss(
    loss: Callable[[Tensor, Tensor], Tensor], scores: Tensor, targets: Tensor, weights: Tensor
) -> Tensor:
    """Average a loss over a batch, each sample's times its weight.

    It is the plain mean of the products, not divided by the sum of the weights: a sample counts the
    same whatever is in the batch with it.

    Args:
        loss: One that can be had for each sample: its attribute ``reduction`` may be ``"none"``.
        scores: What it is given first, ``(batch, ...)``.
        targets: What it is given second, ``(batch, ...)``.
        weights: The weight of each sample, ``(batch,)``.

    Returns:
        The mean, a scalar.

    Raises:
        ConfigError: If the loss cannot be had for each sample.
        DataError: If there is not one weight for each sample.

    Example:
        >>> from torch import nn, tensor
        >>> ones = tensor([1.0, 1.0])
        >>> weighted_loss(nn.L1Loss(), tensor([3.0, 5.0]), ones, tensor([0.5, 2.0])).item()
        4.5
    """
    if weights.shape != targets.shape[:1]:
        problem = f"Expected one weight for each of {len(targets)} samples"
        raise DataError(f"{problem}, but got weights of shape {tuple(weights.shape)}.")
    losses = _unreduced(loss, scores, targets)
    if losses.shape[:1] != weights.shape:
        raise ConfigError(_explain(loss))
    of_samples = losses.reshape(len(weights), -1).mean(dim=1)
    return (weights * of_samples).mean()


def _unreduced(loss: Callable[[Tensor, Tensor], Tensor], scores: Tensor, targets: Tensor) -> Tensor:
    reduction = getattr(loss, "reduction", None)
    if reduction is None:
        raise ConfigError(_explain(loss))
    loss.reduction = "none"  # type: ignore[attr-defined] # it has one
    try:
        return loss(scores, targets)
    finally:
        loss.reduction = reduction  # type: ignore[attr-defined] # it has one


def _explain(loss: object) -> str:
    name = getattr(loss, "__qualname__", type(loss).__qualname__)
    problem = "Expected `loss` to have a `reduction` that may be 'none', as samples are weighted"
    return f"{problem}, but got {name}. Use a loss of torch.nn, or serve no weights."

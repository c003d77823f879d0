"""Losses in which samples count more or less."""

from collections.abc import Callable, Sequence

from torch import Tensor

from leyden.errors import ConfigError, DataError

__all__ = ["check_window_weights", "weighted_loss"]


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
        weights: The weight of each sample, ``(batch,)``; or of each of its targets, of which the
            loss then has one each.

    Returns:
        The mean, a scalar.

    Raises:
        ConfigError: If the loss cannot be had for each sample.
        DataError: If there is not one weight for each sample or target.

    Example:
        >>> from torch import nn, tensor
        >>> ones = tensor([1.0, 1.0])
        >>> weighted_loss(nn.L1Loss(), tensor([3.0, 5.0]), ones, tensor([0.5, 2.0])).item()
        4.5
    """
    if weights.shape not in (targets.shape[:1], targets.shape):
        problem = f"Expected one weight for each of {len(targets)} samples"
        raise DataError(f"{problem}, but got weights of shape {tuple(weights.shape)}.")
    losses = _unreduced(loss, scores, targets)
    if losses.shape[: weights.ndim] != weights.shape:
        raise ConfigError(_explain(loss))
    return (weights * losses.reshape(*weights.shape, -1).mean(dim=-1)).mean()


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


def check_window_weights(weights: Sequence[float] | None) -> list[float]:
    """Check what the first and the last window of a batch count for in its prediction.

    Args:
        weights: Both, from zero; ``None`` for equal weights.

    Returns:
        Both.

    Raises:
        ConfigError: If they are no weights.
    """
    pair = list(map(float, weights or (1, 1)))
    if len(pair) != 2 or not (min(pair) >= 0 and 0 < max(pair) < float("inf")):
        problem = "Expected `prediction_weights` to be weights of the first and the last window"
        raise ConfigError(f"{problem}, but got {weights!r}. Pass (0.5, 1.5), say, or None.")
    return pair

"""What the name of a metric says about it, where there is no more than the name."""

from typing import Final

__all__ = ["is_error"]

_PARTS: Final = (
    "loss",
    "error",
    "brier",
    "crossentropy",
    "deviance",
    "divergence",
    "hinge",
    "logcosh",
    "perplexity",
    "poisson",
)
_SHORT: Final = {"bce", "cer", "kld", "mae", "mape", "mse", "msle", "nll", "rmse", "rmsle", "wer"}


def is_error(name: str) -> bool:
    """Say whether a metric is an error by its name, so that less of it is better.

    Args:
        name: As it is logged, or that of a column.

    Example:
        >>> [is_error(name) for name in ("val/total_loss", "test/mae", "val/cross_entropy")]
        [True, True, True]
        >>> [is_error(name) for name in ("val/f1", "accuracy", "fused_maestro")]
        [False, False, False]
    """
    words = name.lower().replace("-", "_").replace("/", "_").split("_")
    squashed = "".join(words)
    return any(part in squashed for part in _PARTS) or not _SHORT.isdisjoint(words)

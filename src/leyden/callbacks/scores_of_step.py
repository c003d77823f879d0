"""What a validation step said of its batch: scores and targets."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from leyden.errors import ConfigError

__all__ = ["Extract", "ScoresOfStep", "of_positive"]

Extract: TypeAlias = str | Callable[[Any, Any], Tensor] | None
"""A key of what ``validation_step`` returns, or a function of that and of the batch."""


class ScoresOfStep:
    """Finds scores and targets of a batch after its validation step.

    Args:
        scores: Where the scores are; ``None`` for those that a ``ClassifierModule`` keeps, and for
            the key ``"scores"`` of any other module.
        targets: Likewise, ``"targets"``.

    Raises:
        ConfigError: If one is neither a key nor a function.
    """

    def __init__(self, scores: Extract, targets: Extract) -> None:
        place: Any
        for name, place in (("scores", scores), ("targets", targets)):
            if not (place is None or isinstance(place, str) or callable(place)):
                problem = f"Expected `{name}` to be a key or a function of outputs and batch"
                raise ConfigError(f"{problem}, but got {place!r}.")
        self._is_told = scores is not None or targets is not None
        self._scores, self._targets = scores or "scores", targets or "targets"

    def asks(self, module: LightningModule) -> bool:
        """Say whether a module is asked for its scores, instead of what its step returned."""
        return not self._is_told and hasattr(module, "latest_scores")

    def find(
        self, module: LightningModule, outputs: Any, batch: Any
    ) -> tuple[Tensor, Tensor] | None:
        """Find the scores and the targets of the batch.

        Args:
            module: The module.
            outputs: What its step returned.
            batch: The batch.

        Returns:
            Both, ``(batch, ...)``; ``None`` if they come with a later window of the batch.

        Raises:
            ConfigError: If they are not there, are no tensors or have no rows in common.
        """
        if self.asks(module):
            latest: Any = module.latest_scores
            return None if latest is None else (latest[0], latest[1])
        scores = _extract("scores", self._scores, outputs, batch)
        targets = _extract("targets", self._targets, outputs, batch)
        if scores.shape[:1] != targets.shape[:1]:
            problem = "Expected as many `scores` as `targets` of a batch"
            shapes = f"{tuple(scores.shape)} and {tuple(targets.shape)}"
            raise ConfigError(f"{problem}, but got the shapes {shapes}.")
        return scores, targets


def of_positive(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Choose the scores of the second of two classes, where targets are single.

    Args:
        scores: ``(batch,)``, ``(batch, labels)`` or ``(batch, 2)``.
        targets: ``(batch,)`` or ``(batch, labels)``.

    Returns:
        As many scores as targets, and the targets.

    Raises:
        ConfigError: If there are not as many.
    """
    if scores.ndim == targets.ndim + 1 and scores.shape[1] == 2:
        scores = scores[:, 1]
    if scores.numel() != targets.numel():
        problem = "Expected a score of the positive class for each target"
        shapes = f"{tuple(scores.shape)} and {tuple(targets.shape)}"
        raise ConfigError(f"{problem}, but got the shapes {shapes}.")
    return scores, targets


def _extract(what: str, where: str | Callable[[Any, Any], Tensor], outputs: Any, batch: Any) -> Any:
    remedy = f"Return one, or pass `{what}` as a function of what it returns and of the batch."
    if not isinstance(where, str):
        found: Any = where(outputs, batch)
    elif isinstance(outputs, Mapping) and where in outputs:
        found = outputs[where]
    else:
        keys = sorted(map(str, outputs)) if isinstance(outputs, Mapping) else type(outputs).__name__
        problem = f"Expected `validation_step` to return a dictionary with {where!r}"
        raise ConfigError(f"{problem}, but got {keys}. {remedy}")
    if not isinstance(found, Tensor) or found.ndim == 0:
        problem = f"Expected `{what}` to be a tensor with a row for each sample"
        raise ConfigError(f"{problem}, but got {found!r}.")
    return found.float() if found.dtype is torch.bool else found

"""Record the norms of weights."""

from typing import Final

import torch
from lightning.pytorch import LightningModule, Trainer
from typing_extensions import override

from leyden.callbacks.monitor import BetweenSteps
from leyden.introspect import Layers, Norm, Scope, find_parameters, weights
from leyden.introspect.norms import check_norm, finish, finish_with_total, measure
from leyden.introspect.tensors import to_host
from leyden.lifecycle import Every

__all__ = ["WeightMonitor"]

_EVERY: Final = Every(batches=50)


class WeightMonitor(BetweenSteps):
    """Record the norm of each weight, and of all together, after a train step.

    They are logged as ``weight_norm/<parameter>`` and ``weight_norm/total``.

    Args:
        every: When to look.
        layers: Which layers or parameters.
        norm: Which norm; see ``leyden.introspect.norms``.
        scope: ``"local"`` for each parameter, ``"layer"`` for each layer, or ``"global"`` for
            nothing but the total.
        name: What the names of the figures begin with.

    Attributes:
        figures: The norms of the last look, by the names they are logged with.
        step: The step they were logged with; ``None`` before the first look.

    Raises:
        ConfigError: If there is no such norm; when training begins, if there is no such layer.

    Example:
        >>> from lightning import Trainer
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[WeightMonitor()])
    """

    def __init__(
        self,
        every: Every = _EVERY,
        *,
        layers: Layers = "*",
        norm: Norm = 2.0,
        scope: Scope = "local",
        name: str = "weight_norm",
    ) -> None:
        super().__init__(every, layers=layers, name=name)
        check_norm(norm)
        finish([], torch.zeros(0), norm, scope)  # a scope that is not known is told now
        self._layers, self._norm, self._scope, self._name = layers, norm, scope, name

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        find_parameters(pl_module, self._layers)

    @override
    def _look(self, trainer: Trainer, pl_module: LightningModule) -> None:
        found = weights(pl_module, self._layers)
        names, measured = list(found), to_host(measure(list(found.values()), self._norm))
        figures = finish_with_total(names, measured, self._norm, self._scope)
        self._log(trainer, {f"{self._name}/{key}": one for key, one in figures.items()})

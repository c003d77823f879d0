"""Record the norms of weights."""

from typing import Final

from lightning.pytorch import LightningModule, Trainer
from typing_extensions import override

from leyden.callbacks.monitor import BetweenSteps
from leyden.callbacks.norm_figures import NormFigures
from leyden.introspect import Layers, Norm, Scope, find_parameters, weights
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
        self._layers, self._norms = layers, NormFigures(norm, scope, name)

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        find_parameters(pl_module, self._layers)

    @override
    def _look(self, trainer: Trainer, pl_module: LightningModule) -> None:
        measured = self._norms.measure(weights(pl_module, self._layers))
        self._log(trainer, self._norms.finish(measured))

"""Record the norms of gradients."""

from typing import Any, Final

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

from leyden.callbacks.monitor import Monitor, check_in_step
from leyden.callbacks.norm_figures import NormFigures
from leyden.introspect import Layers, Norm, Scope, find_parameters
from leyden.lifecycle import Every

__all__ = ["GradientMonitor"]

_EVERY: Final = Every(batches=50)


class GradientMonitor(Monitor):
    """Record the norm of each gradient, and of all together, as the optimizer is about to use them.

    That is before clipping, after accumulation, and, under several ranks, after these have agreed
    on them. They are logged as ``gradient_norm/<parameter>`` and ``gradient_norm/total``. With
    batches accumulated, a look that is due waits for the optimizer's step; with several optimizers,
    it takes all steps of the batch together.

    Args:
        every: When to look; of an epoch, it is the last batch.
        layers: Which layers or parameters.
        norm: Which norm; see ``leyden.introspect.norms``.
        scope: ``"local"`` for each parameter, ``"layer"`` for each layer, or ``"global"`` for
            nothing but the total.
        name: What the names of the figures begin with.

    Attributes:
        figures: The norms of the last look, by the names they are logged with.
        step: The step they were logged with; ``None`` before the first look.

    Raises:
        ConfigError: If ``every`` counts validations, or there is no such norm; when training
            begins, if there is no such layer.

    Example:
        >>> from lightning import Trainer
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[GradientMonitor()])
    """

    def __init__(
        self,
        every: Every = _EVERY,
        *,
        layers: Layers = "*",
        norm: Norm = 2.0,
        scope: Scope = "local",
        name: str = "gradient_norm",
    ) -> None:
        super().__init__(every, layers=layers, name=name)
        check_in_step(every)
        self._layers, self._norms = layers, NormFigures(norm, scope, name)
        self._waits = False  # a look is due
        self._measured = dict[str, Tensor]()

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self._waits, self._measured = False, {}

    @override
    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"waits": self._waits}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._waits = state_dict["waits"]

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        find_parameters(pl_module, self._layers)

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._is_due_in_step(trainer, batch_idx):
            self._waits = True

    @override
    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        if not self._waits:
            return
        mine = {id(one) for group in optimizer.param_groups for one in group["params"]}
        found = {
            name: one.grad
            for name, one in find_parameters(pl_module, self._layers).items()
            if one.grad is not None and id(one) in mine
        }
        self._measured |= self._norms.measure(found)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._measured:
            figures = self._norms.finish(self._measured)
            self._waits, self._measured = False, {}
            self._log(trainer, figures)

"""Record what layers return."""

from contextlib import ExitStack
from typing import Any, Final

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from typing_extensions import override

from leyden.callbacks.monitor import Monitor, check_in_step
from leyden.introspect import Layers, find_layers
from leyden.introspect.look import watching
from leyden.introspect.step import first_tensor
from leyden.introspect.tensors import to_host
from leyden.lifecycle import Every

__all__ = ["ActivationMonitor"]

_EVERY: Final = Every(batches=50)
_FIGURES: Final = ("mean", "std", "zeros", "nonfinite")


class ActivationMonitor(Monitor):
    """Record how the outputs of layers are spread in a train step.

    Logged are ``activation/mean``, ``activation/std``, ``activation/zeros`` and
    ``activation/nonfinite`` of each layer, as in ``activation/mean/encoder.0``; the last two are
    fractions of the values. Layers are watched in the steps that are due only. Under several ranks,
    the figures are of the batch of rank zero. A layer that is called several times in a step is
    recorded as of its last call, one that returns several tensors by the first; single numbers,
    such as losses and metrics, are left out.

    Args:
        every: When to look; of an epoch, it is the last batch.
        layers: Which layers.
        name: What the names of the figures begin with.

    Attributes:
        figures: The figures of the last look, by the names they are logged with.
        step: The step they were logged with; ``None`` before the first look.

    Raises:
        ConfigError: If ``every`` counts validations; when training begins, if there is no such
            layer.

    Example:
        >>> from lightning import Trainer
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[ActivationMonitor()])
    """

    def __init__(
        self, every: Every = _EVERY, *, layers: Layers = "*", name: str = "activation"
    ) -> None:
        super().__init__(every, layers=layers, name=name)
        check_in_step(every)
        self._layers, self._name = layers, name
        self._watch = ExitStack()
        self._found: dict[str, Tensor] = {}

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        find_layers(pl_module, self._layers)

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._is_due_in_step(trainer, batch_idx):
            self._leave()
            chosen = find_layers(pl_module, self._layers)
            self._watch.enter_context(watching(chosen, self._see))

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._found:
            rows = to_host(list(self._found.values())).tolist()
            figures = {
                f"{self._name}/{figure}/{layer}": value
                for layer, row in zip(self._found, rows, strict=True)
                for figure, value in zip(_FIGURES, row, strict=True)
            }
            self._leave()
            self._log(trainer, figures)

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._leave()

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._leave()

    def _see(self, name: str, _layer: nn.Module, output: Any) -> None:
        first = first_tensor(output)
        if first is not None and first.is_floating_point() and first.ndim > 0 and first.numel():
            self._found[name] = _describe(first)

    def _leave(self) -> None:
        """Watch no more, which may be said again."""
        self._watch.close()
        self._found = {}


@torch.no_grad()
def _describe(output: Tensor) -> Tensor:
    """Compute the figures of an output, ``(4,)``."""
    values = output.detach().float()
    zeros, broken = values == 0, ~values.isfinite()
    std, mean = torch.std_mean(values, correction=0)
    return torch.stack([mean, std, zeros.float().mean(), broken.float().mean()])

"""A classifier that takes its input shape and its classes from the data."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy
from typing_extensions import override

from leyden.errors import ConfigError
from leyden.modules.lifecycle import LifecycleModule
from leyden.modules.networks import CNN, MLP
from leyden.modules.optimization import configure
from leyden.recipes import Recipe, build, is_plain
from leyden.types import Phase

__all__ = ["ClassifierModule"]

_Batch: TypeAlias = Tensor | Sequence[Tensor]
_NETWORKS: dict[str, Callable[..., Any]] = {"cnn": CNN, "mlp": MLP}


class ClassifierModule(LifecycleModule):
    """Assigns one of several classes to every sample.

    It logs ``<phase>/loss`` and ``<phase>/accuracy`` for train, val and test. A checkpoint holds
    what is needed to build the network again without the data; only what was given as an object
    (a finished network, a factory, a loss) has to be given to ``load_from_checkpoint`` again.

    Args:
        network: Recipe of the network: a name (``"cnn"``, ``"mlp"``), a dictionary
            ``{"type": name or import path, **arguments}``, or a factory; what it names is called
            with the input shape and the number of classes. Or a finished ``nn.Module``. It maps
            ``(batch, *input_shape)`` to scores ``(batch, num_classes)``.
        optimizer: Recipe of the optimizer.
        scheduler: Recipe of the learning-rate schedule; ``None`` for a constant rate.
        loss: Called with scores ``(batch, num_classes)`` and classes ``(batch,)``; ``None`` for the
            cross entropy.
        input_shape: Shape of one sample; ``None`` to take it from the data module.
        num_classes: How many classes there are; ``None`` to take it from the data module.

    Example:
        >>> module = ClassifierModule("mlp", input_shape=(8, 8), num_classes=10)
        >>> module(torch.zeros(4, 8, 8)).shape
        torch.Size([4, 10])
    """

    def __init__(
        self,
        network: Recipe | nn.Module = "cnn",
        *,
        optimizer: Recipe = "adam",
        scheduler: Recipe | None = None,
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        input_shape: Sequence[int] | None = None,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        recipes = {"network": network, "optimizer": optimizer, "scheduler": scheduler}
        plain = {name: recipe for name, recipe in recipes.items() if is_plain(recipe)}
        self.save_hyperparameters(plain)
        self._optimizer, self._scheduler = optimizer, scheduler
        self._recipe = (network,)  # in a tuple, lest a finished network is saved twice
        self.loss = loss or nn.CrossEntropyLoss()
        self.network: nn.Module | None = None
        self.metrics: nn.ModuleDict | None = None
        if input_shape is not None and num_classes is not None:
            self._build(input_shape, num_classes)

    @override
    def build_model(self) -> None:
        if self.network is None:
            data = getattr(self.trainer, "datamodule", None)
            shape, classes = (getattr(data, name, None) for name in ("sample_shape", "num_classes"))
            if shape is None or classes is None:
                raise ConfigError(_explain(data, shape, classes))
            self._build(shape, classes)

    def _build(self, input_shape: Sequence[int], num_classes: int) -> None:
        # Saved for the checkpoint, which is loaded where there may be no data.
        self.hparams.update(input_shape=list(input_shape), num_classes=num_classes)
        (recipe,) = self._recipe
        self.network = (
            recipe
            if isinstance(recipe, nn.Module)
            else build(recipe, _NETWORKS, tuple(input_shape), num_classes, what="network")
        )
        phases = (Phase.TRAIN, Phase.VAL, Phase.TEST)
        self.metrics = nn.ModuleDict(
            # nn.Module has a method `train`, so a submodule needs another name.
            {
                f"{phase}_accuracy": MulticlassAccuracy(num_classes, average="micro")
                for phase in phases
            }
        )

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        """Score samples.

        Args:
            inputs: Samples of any number type, ``(batch, *input_shape)``.

        Returns:
            Scores before the softmax, ``(batch, num_classes)``.
        """
        if self.network is None:
            problem = "Expected the network to be built, but the data is not known yet"
            raise ConfigError(f"{problem}. Pass `input_shape` and `num_classes`, or use a Trainer.")
        scores: Tensor = self.network(inputs.to(self.dtype))
        return scores

    @override
    def training_step(self, batch: _Batch, batch_idx: int) -> Tensor:
        return self._step(Phase.TRAIN, batch)

    @override
    def validation_step(self, batch: _Batch, batch_idx: int) -> Tensor:
        return self._step(Phase.VAL, batch)

    @override
    def test_step(self, batch: _Batch, batch_idx: int) -> Tensor:
        return self._step(Phase.TEST, batch)

    @override
    def predict_step(self, batch: _Batch, batch_idx: int) -> dict[str, Tensor]:
        inputs = batch if isinstance(batch, Tensor) else batch[0]
        probabilities = torch.softmax(self(inputs), dim=1)
        return {"classes": probabilities.argmax(dim=1), "probabilities": probabilities}

    @override
    def configure_optimizers(self) -> OptimizerLRScheduler:
        return configure(self.parameters(), self._optimizer, self._scheduler)

    def _step(self, phase: Phase, batch: _Batch) -> Tensor:
        if isinstance(batch, Tensor):
            problem = "Expected batches of inputs and labels, but got inputs alone"
            raise ConfigError(f"{problem}. Put the labels beside the shards, or pass `labels`.")
        inputs, classes = batch
        scores, classes = self(inputs), classes.long()
        if classes.ndim != scores.ndim - 1:
            expected = (*scores.shape[:1], *scores.shape[2:])
            problem = f"Expected numbers of classes as labels, of shape {expected}"
            remedy = "Save one number for each sample."
            raise ConfigError(f"{problem}, but got {tuple(classes.shape)}. {remedy}")
        loss = self.loss(scores, classes)
        accuracy = self._metric(phase)
        accuracy(scores, classes)
        log = partial(self.log, on_step=False, on_epoch=True, batch_size=len(classes))
        log(f"{phase}/loss", loss, prog_bar=True)
        log(f"{phase}/accuracy", accuracy, prog_bar=phase is not Phase.TRAIN)
        return loss

    def _metric(self, phase: Phase) -> MulticlassAccuracy:
        assert self.metrics is not None  # noqa: S101 - forward has raised if it is
        metric = self.metrics[f"{phase}_accuracy"]
        assert isinstance(metric, MulticlassAccuracy)  # noqa: S101 - made by _build
        return metric


def _explain(data: object, shape: object, classes: object) -> str:
    """Say what about the data is not known, and what to do."""
    remedy = "pass `input_shape` and `num_classes` to the module."
    if data is None:
        problem = "Expected a data module that knows `sample_shape` and `num_classes`, but got none"
        return f"{problem}. Give the trainer one, or {remedy}"
    name = "sample_shape" if shape is None else "num_classes"
    problem = f"Expected `{name}` to be known, but {type(data).__name__} has none"
    if shape is not None and classes is None:
        problem += ": there are no labels, or they are not whole numbers"
        return f"{problem}. Save labels as whole numbers, or {remedy}"
    return f"{problem}. {remedy.capitalize()}"

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
from leyden.lifecycle import Window, find_window
from leyden.modules.lifecycle import LifecycleModule
from leyden.modules.networks import CNN, MLP
from leyden.modules.optimization import configure
from leyden.modules.recurrent import LSTM
from leyden.modules.resetting import trainer_of
from leyden.modules.weighting import weighted_loss
from leyden.recipes import Recipe, build, is_plain
from leyden.types import Phase

__all__ = ["ClassifierModule"]

_Batch: TypeAlias = Tensor | Sequence[Tensor]
_NETWORKS: dict[str, Callable[..., Any]] = {"cnn": CNN, "lstm": LSTM, "mlp": MLP}
_SO_FAR = "probabilities_so_far"  # key of a checkpoint


class ClassifierModule(LifecycleModule):
    """Assigns one of several classes to every sample.

    It logs ``<phase>/loss`` and ``<phase>/accuracy`` for train, val and test. A checkpoint holds
    what is needed to build the network again without the data; only what was given as an object
    (a finished network, a factory, a loss) has to be given to ``load_from_checkpoint`` again.

    A batch is inputs and classes, or inputs, classes and weights ``(batch,)``: its loss is then the
    mean of each sample's loss times its weight.

    Where the data module serves batches in time windows, the loss is the mean over the windows.
    Outside training, a batch's prediction is the weighted mean of its windows' probabilities:
    ``predict_step`` returns, for each window, that of the windows so far, so the one returned for
    the last window is the batch's; and the accuracy counts each sample once, by the batch's
    prediction. The accuracy in training is the mean over the windows.

    Args:
        network: Recipe of the network: a name (``"cnn"``, ``"lstm"``, ``"mlp"``), a dictionary
            ``{"type": name or import path, **arguments}``, or a factory; what it names is called
            with the input shape and the number of classes. Or a finished ``nn.Module``. It maps
            ``(batch, *input_shape)`` to scores ``(batch, num_classes)``.
        optimizer: Recipe of the optimizer.
        scheduler: Recipe of the learning-rate schedule; ``None`` for a constant rate.
        loss: Called with scores ``(batch, num_classes)`` and classes ``(batch,)``; ``None`` for the
            cross entropy. With weights it needs an attribute ``reduction``, as torch's losses have.
        prediction_weights: Weights of the first and of the last window in a batch's prediction,
            from zero; those of the others lie evenly between them. ``None`` for equal weights.
        input_shape: Shape of one sample; ``None`` to take it from the data module.
        num_classes: How many classes there are; ``None`` to take it from the data module.

    Raises:
        ConfigError: If the network cannot be built, or ``prediction_weights`` are no weights.

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
        prediction_weights: Sequence[float] | None = None,
        input_shape: Sequence[int] | None = None,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        recipes = {"network": network, "optimizer": optimizer, "scheduler": scheduler}
        plain = {name: recipe for name, recipe in recipes.items() if is_plain(recipe)}
        self._prediction_weights = _checked(prediction_weights or (1.0, 1.0))
        self._so_far: Tensor | None = None  # of the windows of an unfinished batch
        self.save_hyperparameters(plain | {"prediction_weights": list(self._prediction_weights)})
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
        scores, classes, loss = self._score(batch)
        self._log(Phase.TRAIN, loss, scores, classes)
        return loss

    @override
    def validation_step(self, batch: _Batch, batch_idx: int) -> Tensor:
        return self._evaluate(Phase.VAL, batch, batch_idx)

    @override
    def test_step(self, batch: _Batch, batch_idx: int) -> Tensor:
        return self._evaluate(Phase.TEST, batch, batch_idx)

    @override
    def predict_step(self, batch: _Batch, batch_idx: int) -> dict[str, Tensor]:
        inputs = batch if isinstance(batch, Tensor) else batch[0]
        probabilities = self._combine(self._window(batch_idx), self(inputs))
        return {"classes": probabilities.argmax(dim=1), "probabilities": probabilities}

    @override
    def configure_optimizers(self) -> OptimizerLRScheduler:
        return configure(self.parameters(), self._optimizer, self._scheduler)

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._so_far is not None:
            checkpoint[_SO_FAR] = self._so_far

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._so_far = checkpoint.get(_SO_FAR)

    def _evaluate(self, phase: Phase, batch: _Batch, batch_idx: int) -> Tensor:
        scores, classes, loss = self._score(batch)
        window = self._window(batch_idx)
        probabilities = self._combine(window, scores)
        self._log(phase, loss, probabilities if window.is_last else None, classes)
        return loss

    def _score(self, batch: _Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Give the scores, the classes and the loss of a batch."""
        if isinstance(batch, Tensor):
            problem = "Expected batches of inputs and labels, but got inputs alone"
            raise ConfigError(f"{problem}. Put the labels beside the shards, or pass `labels`.")
        inputs, labels, *weights = batch
        scores, classes = self(inputs), labels.long()
        if classes.ndim != scores.ndim - 1:
            expected = (*scores.shape[:1], *scores.shape[2:])
            problem = f"Expected numbers of classes as labels, of shape {expected}"
            remedy = "Save one number for each sample."
            raise ConfigError(f"{problem}, but got {tuple(classes.shape)}. {remedy}")
        if not weights:
            return scores, classes, self.loss(scores, classes)
        return scores, classes, weighted_loss(self.loss, scores, classes, *weights)

    def _window(self, batch_idx: int) -> Window:
        trainer = trainer_of(self)
        return Window() if trainer is None else find_window(trainer, batch_idx)

    def _combine(self, window: Window, scores: Tensor) -> Tensor:
        """Average the probabilities of this window and of those before it in the batch."""
        probabilities = torch.softmax(scores, dim=1)
        if self._so_far is not None and not window.is_first:
            before = self._so_far.to(probabilities)
            share = window.share(self._prediction_weights)
            probabilities = torch.lerp(before, probabilities, share)
        self._so_far = None if window.is_last else probabilities
        return probabilities

    def _log(self, phase: Phase, loss: Tensor, guess: Tensor | None, classes: Tensor) -> None:
        """Log the loss, and the accuracy of scores or probabilities if there are any."""
        log = partial(self.log, on_step=False, on_epoch=True, batch_size=len(classes))
        log(f"{phase}/loss", loss, prog_bar=True)
        if guess is not None:
            accuracy = self._metric(phase)
            accuracy(guess, classes)
            log(f"{phase}/accuracy", accuracy, prog_bar=phase is not Phase.TRAIN)

    def _metric(self, phase: Phase) -> MulticlassAccuracy:
        assert self.metrics is not None  # noqa: S101 - forward has raised if it is
        metric = self.metrics[f"{phase}_accuracy"]
        assert isinstance(metric, MulticlassAccuracy)  # noqa: S101 - made by _build
        return metric


def _checked(weights: Sequence[float]) -> tuple[float, float]:
    if len(weights) != 2 or not (min(weights) >= 0 and 0 < max(weights) < float("inf")):
        problem = "Expected `prediction_weights` to be weights of the first and the last window"
        raise ConfigError(f"{problem}, but got {weights!r}. Pass (0.5, 1.5), say, or None.")
    first, last = weights
    return float(first), float(last)


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

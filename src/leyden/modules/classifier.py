"""A classifier that takes its input shape and its classes from the data."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torchmetrics import Metric
from typing_extensions import override

from leyden.data.weights import ClassWeights
from leyden.errors import ConfigError
from leyden.modules.batches import Inputs, required
from leyden.modules.objectives import (
    Loss,
    Metrics,
    check_window_weights,
    leaves_open,
    plain_weights,
    weigh_classes,
)
from leyden.modules.resetting import trainer_of
from leyden.modules.sizes import Shape, Size
from leyden.modules.supervised import SupervisedModule
from leyden.modules.tasks import Multiclass, TaskName, choose_task
from leyden.recipes import Recipe
from leyden.types import Phase

__all__ = ["ClassifierModule"]


class ClassifierModule(SupervisedModule):
    """Assigns one of several classes to every sample, or any number of labels.

    It logs ``<phase>/loss`` and ``<phase>/<metric>`` for train, val and test. A checkpoint holds
    what is needed to build the network again without the data; only what was given as an object
    (a finished network, a factory, a loss) has to be given to ``load_from_checkpoint`` again.

    A batch is inputs and classes, or inputs, classes and weights ``(batch,)``: its loss is then the
    mean of each sample's loss times its weight. Classes are whole numbers or one-hot.

    Where the data module serves batches in time windows, the loss is the mean over the windows.
    Outside training, a batch's prediction is the weighted mean of its windows' probabilities:
    ``predict_step`` returns, for each window, that of the windows so far, so the one returned for
    the last window is the batch's; and the metrics count each sample once, by the batch's
    prediction. The metrics in training are those of the windows.

    ``predict_step`` gives the ``classes``, ``(batch,)``, and their ``probabilities``, ``(batch,
    num_classes)``; for several labels, both are ``(batch, num_classes)``. With two classes, or with
    labels, a class is predicted if its probability is above ``threshold``, which is part of a
    checkpoint.

    Args:
        network: Recipe of the network: a name (``"cnn"``, ``"lstm"``, ``"mlp"``), a dictionary
            ``{"type": name or import path, **arguments}``, or a factory; what it names is called
            with the input shape and the number of scores. Or a finished ``nn.Module``. It maps
            ``(batch, *input_shape)`` to scores: ``(batch, num_classes)``, or ``(batch, 1)`` if the
            task is ``"binary"``.
        task: ``"multiclass"`` for a score of each class, of which the softmax is taken;
            ``"binary"`` for two classes with one score, ``"multilabel"`` for labels ``(batch,
            num_classes)`` of which any may hold, both with the sigmoid. ``None`` for ``"binary"``
            where the loss is ``"bce"``, and else ``"multiclass"``.
        loss: Name, recipe or function; see ``LOSSES``. It is called with scores ``(batch,
            num_classes)`` and classes ``(batch,)``; or in the other tasks, with scores and targets
            of one shape. ``None`` for the cross entropy of the task. With weights it needs an
            attribute ``reduction``, as torch's losses have.
        metrics: Metrics of torchmetrics by their names, as recipes or objects; or a dictionary of
            them by the names to log them under. They are given probabilities: of two classes, that
            of the second, unless the metric is called ``Multiclass...``.
        class_weights: What samples count for by their class in the loss of every phase: weights by
            the numbers of the classes, or ``"balanced"``, by the classes of the training data.
        threshold: Probability above which a class is predicted, in [0, 1].
        optimizer: Recipe of the optimizer.
        scheduler: Recipe of the learning-rate schedule; ``None`` for a constant rate.
        prediction_weights: Weights of the first and of the last window in a batch's prediction,
            from zero; those of the others lie evenly between them. ``None`` for equal weights.
        input_shape: Shape of one sample; ``None`` to take it from the data module.
        num_classes: How many classes there are; ``None`` to take it from the data module.

    Raises:
        ConfigError: If the network, the loss or a metric cannot be made, or an argument is wrong.

    Example:
        >>> import torch
        >>> module = ClassifierModule("mlp", input_shape=(8, 8), num_classes=10)
        >>> module(torch.zeros(4, 8, 8)).shape
        torch.Size([4, 10])
    """

    _class_weights: Tensor | None
    _latest_scores: tuple[Tensor, Tensor] | None = None
    _sizes = (
        Size("input_shape", "sample_shape"),
        Size(
            "num_classes",
            "num_classes",
            reason="there are no labels, or they are not whole numbers",
            remedy="Save labels as whole numbers",
        ),
    )

    def __init__(  # noqa: PLR0913 - what users may tell, each with a default
        self,
        network: Recipe | nn.Module = "cnn",
        *,
        task: TaskName | None = None,
        loss: Loss | None = None,
        metrics: Metrics = ("accuracy",),
        class_weights: ClassWeights = None,
        threshold: float = 0.5,
        optimizer: Recipe = "adam",
        scheduler: Recipe | None = None,
        prediction_weights: Sequence[float] | None = None,
        input_shape: Shape | None = None,
        num_classes: int | None = None,
    ) -> None:
        kind = choose_task(task, loss)
        super().__init__(
            network,
            loss=loss or kind.default_loss,
            metrics=metrics,
            optimizer=optimizer,
            scheduler=scheduler,
            settings={
                "task": kind.name,
                "class_weights": plain_weights(class_weights),
                "threshold": _check_threshold(threshold),
                "prediction_weights": check_window_weights(prediction_weights),
                "input_shape": input_shape,
                "num_classes": num_classes,
            },
        )

    @property
    def threshold(self) -> float:
        """Probability above which the second of two classes, or a label, is predicted."""
        threshold: float = self.hparams["threshold"]
        return threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        threshold = _check_threshold(value)
        if self.metrics is not None:
            self._check_use_of(threshold)
            for phase in (Phase.TRAIN, Phase.VAL, Phase.TEST):
                for name, metric in self.metrics.of(phase).items():
                    recipe = self._named_metrics.get(name)
                    if recipe is not None and leaves_open(recipe, "threshold"):
                        metric.threshold = threshold
        self.hparams["threshold"] = threshold

    @property
    def has_threshold(self) -> bool:
        """Whether what is predicted depends on ``threshold``; known once the classes are."""
        return self._task.has_threshold

    @property
    def latest_scores(self) -> tuple[Tensor, Tensor] | None:
        """What was predicted for the batch evaluated last, and its targets, as metrics take them.

        With two classes, probabilities of the second and classes, both ``(batch,)``; with several
        labels, those of each, both ``(batch, num_classes)``; and else ``(batch, num_classes)`` and
        ``(batch,)``. ``None`` before the first one, and if more time windows of it are to come.
        """
        return self._latest_scores

    @property
    def _task(self) -> Multiclass:
        """What scores, labels and probabilities look like; known once the classes are."""
        return choose_task(self.hparams["task"], None)(self.hparams["num_classes"])

    @override
    def build_model(self) -> None:
        super().build_model()
        self._weigh_classes(getattr(trainer_of(self), "datamodule", None))

    @override
    def _build(self) -> None:
        self._check_use_of(self.threshold)
        super()._build()
        self._weigh_classes(None)

    def _weigh_classes(self, data: Any) -> None:
        weights = weigh_classes(self.hparams["class_weights"], self._task.num_classes, data)
        self.register_buffer("_class_weights", weights, persistent=False)
        if weights is not None:
            self.hparams["class_weights"] = weights.tolist()

    def _check_use_of(self, threshold: float) -> None:
        if threshold != 0.5 and not self._task.has_threshold:
            problem = "Expected two classes, or several labels, for a `threshold`"
            raise ConfigError(f"{problem}, but there are {self._task.num_classes} classes.")

    @override
    def read_size(self, data: Any, attribute: str) -> Any:
        known = super().read_size(data, attribute)
        shape: tuple[int, ...] = getattr(data, "label_shape", None) or ()
        if attribute == "num_classes" and len(shape) == 1 and shape[0] > 1 and (known or 0) <= 2:
            return shape[0]  # labels of 0 and 1 only, which are one-hot, or several
        return known

    @override
    def output_sizes(self) -> Sequence[int]:
        return (self._task.num_scores,)

    @override
    def metric_arguments(self) -> Mapping[str, Any]:
        return {
            "task": self._task.metric_name,
            "num_classes": self._task.num_classes,
            "num_labels": self._task.num_classes,
            "threshold": self.threshold,
        }

    @override
    def forward(self, inputs: Any) -> Tensor:
        """Score samples.

        Args:
            inputs: Samples of any number type, ``(batch, *input_shape)``, or a dictionary of them.

        Returns:
            Scores before the softmax or the sigmoid, ``(batch, num_classes)``; ``(batch,)`` if the
            task is ``"binary"``.
        """
        scores = super().forward(inputs)
        return self._task.check(scores)

    @override
    def select_targets(self, inputs: Inputs, labels: Tensor | None, outputs: Tensor) -> Tensor:
        return self._task.targets(required(labels), outputs)

    @override
    def compute_loss(self, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        if self.hparams["class_weights"] is not None:
            weights = self._weigh(targets, weights)
        try:
            return super().compute_loss(outputs, self._task.for_loss(targets, outputs), weights)
        except IndexError:  # which does not say what to do about it
            self._task.check_targets(targets)
            raise

    def _weigh(self, targets: Tensor, weights: Tensor | None) -> Tensor:
        """Give the weight of each target: that of its class, times that of its sample."""
        if self._class_weights is None:
            problem = "Expected training data for `class_weights='balanced'`, but there is none"
            raise ConfigError(f"{problem}. Use a Trainer, or pass a weight by class.")
        of_classes = self._task.weights(self._class_weights, targets)
        if weights is None:
            return of_classes
        return of_classes * weights.reshape(-1, *(1 for _ in targets.shape[1:]))

    @override
    def interpret(self, outputs: Tensor) -> Tensor:
        """Turn scores into probabilities, ``(batch, num_classes)``."""
        return self._task.probabilities(outputs)

    @override
    def _log(self, phase: Phase, loss: Tensor, guess: Tensor | None, targets: Tensor) -> None:
        super()._log(phase, loss, guess, targets)
        if phase is not Phase.TRAIN:
            scores = guess[:, 1] if guess is not None and self._task.has_two_classes else guess
            self._latest_scores = None if scores is None else (scores, targets)

    @override
    def select_for(self, metric: Metric, predictions: Tensor) -> Tensor:
        takes_all = type(metric).__name__.startswith("Multiclass")
        return predictions[:, 1] if self._task.has_two_classes and not takes_all else predictions

    @override
    def describe(self, predictions: Tensor) -> dict[str, Tensor]:
        classes = self._task.classes(predictions, self.threshold)
        return {"classes": classes, "probabilities": predictions}

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        saved = checkpoint.get(self.CHECKPOINT_HYPER_PARAMS_KEY, {})
        self.threshold = saved.get("threshold", self.threshold)


def _check_threshold(threshold: float) -> float:
    if not 0 <= threshold <= 1:
        problem = "Expected `threshold` to be a probability from 0 to 1"
        raise ConfigError(f"{problem}, but got {threshold!r}.")
    return float(threshold)

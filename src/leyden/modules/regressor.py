"""A regressor that takes the shapes of its inputs and outputs from the data."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from leyden.errors import ConfigError
from leyden.modules.batches import Inputs, required
from leyden.modules.objectives import Loss, Metrics, check_window_weights
from leyden.modules.sizes import Shape, Size
from leyden.modules.supervised import SupervisedModule
from leyden.recipes import Recipe

__all__ = ["RegressorModule"]


class RegressorModule(SupervisedModule):
    """Predicts one or several numbers, of any shape, for every sample.

    It logs ``<phase>/loss`` and ``<phase>/<metric>`` for train, val and test. A checkpoint holds
    what is needed to build the network again without the data; only what was given as an object
    (a finished network, a factory, a loss) has to be given to ``load_from_checkpoint`` again.

    A batch is inputs and labels, or inputs, labels and weights ``(batch,)``: its loss is then the
    mean of each sample's loss times its weight. ``predict_step`` gives the ``predictions``,
    ``(batch, *output_shape)``.

    Where the data module serves batches in time windows, the loss is the mean over the windows.
    Outside training, a batch's prediction is the weighted mean of those of its windows so far, and
    the metrics count each sample once, by that of the last window.

    Args:
        network: Recipe of the network: a name (``"cnn"``, ``"lstm"``, ``"mlp"``), a dictionary
            ``{"type": name or import path, **arguments}``, or a factory; what it names is called
            with the input shape and how many numbers a label has. Or a finished ``nn.Module``. It
            maps ``(batch, *input_shape)`` to so many numbers each, in any shape.
        loss: Name, recipe or function; see ``LOSSES``. It is called with predictions and labels
            of one shape, ``(batch, *output_shape)``. With weights it needs an attribute
            ``reduction``, as torch's losses have.
        metrics: Metrics of torchmetrics by their names, as recipes or objects; or a dictionary of
            them by the names to log them under. They are given what the loss is given.
        optimizer: Recipe of the optimizer.
        scheduler: Recipe of the learning-rate schedule; ``None`` for a constant rate.
        prediction_weights: Weights of the first and of the last window in a batch's prediction,
            from zero; those of the others lie evenly between them. ``None`` for equal weights.
        input_shape: Shape of one sample; ``None`` to take it from the data module.
        output_shape: Shape of one label, ``()`` for a number; ``None`` to take it from the data
            module.

    Raises:
        ConfigError: If the network, the loss or a metric cannot be made.

    Example:
        >>> import torch
        >>> module = RegressorModule(input_shape=(10,), output_shape=())
        >>> module(torch.zeros(4, 10)).shape
        torch.Size([4])
    """

    _sizes = (
        Size("input_shape", "sample_shape"),
        Size(
            "output_shape",
            "label_shape",
            reason="there are no labels",
            remedy="Put labels beside the shards",
        ),
    )

    def __init__(
        self,
        network: Recipe | nn.Module = "mlp",
        *,
        loss: Loss = "mse",
        metrics: Metrics = ("mae",),
        optimizer: Recipe = "adam",
        scheduler: Recipe | None = None,
        prediction_weights: Sequence[float] | None = None,
        input_shape: Shape | None = None,
        output_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            network,
            loss=loss,
            metrics=metrics,
            optimizer=optimizer,
            scheduler=scheduler,
            settings={
                "prediction_weights": check_window_weights(prediction_weights),
                "input_shape": input_shape,
                "output_shape": output_shape,
            },
        )

    @override
    def output_sizes(self) -> Sequence[int]:
        return (math.prod(self.hparams["output_shape"]),)

    @override
    def forward(self, inputs: Any) -> Tensor:
        """Predict.

        Args:
            inputs: Samples of any number type, ``(batch, *input_shape)``, or a dictionary of them.

        Returns:
            Predictions, ``(batch, *output_shape)``.
        """
        outputs, shape = super().forward(inputs), tuple(self.hparams["output_shape"])
        if outputs[0].numel() != math.prod(shape):
            problem = f"Expected the network to give {math.prod(shape)} numbers for each sample"
            remedy = "Pass `output_shape`, or another network."
            raise ConfigError(f"{problem}, but got {tuple(outputs.shape[1:])}. {remedy}")
        return outputs.reshape(-1, *shape)

    @override
    def select_targets(self, inputs: Inputs, labels: Tensor | None, outputs: Tensor) -> Tensor:
        targets = required(labels)
        if targets.shape != outputs.shape:
            problem = f"Expected labels of shape {tuple(outputs.shape)}"
            remedy = f"Pass `output_shape={tuple(targets.shape[1:])}`."
            raise ConfigError(f"{problem}, but got {tuple(targets.shape)}. {remedy}")
        return targets.to(outputs.dtype)

"""An autoencoder that takes the shape of its inputs from the data."""

from collections.abc import Mapping

from torch import Tensor, nn
from typing_extensions import override

from leyden.errors import ConfigError
from leyden.lifecycle import Window
from leyden.modules.batches import Batch, Inputs
from leyden.modules.networks import AUTOENCODERS
from leyden.modules.objectives import Loss, Metrics
from leyden.modules.sizes import Shape
from leyden.modules.supervised import SupervisedModule
from leyden.recipes import Recipe

__all__ = ["AutoencoderModule"]


class AutoencoderModule(SupervisedModule):
    """Makes its inputs again from a short code.

    It logs ``<phase>/loss`` and ``<phase>/<metric>`` for train, val and test. A checkpoint holds
    what is needed to build the network again without the data; only what was given as an object
    (a finished network, a factory, a loss) has to be given to ``load_from_checkpoint`` again.

    The target of a batch is its labels where they have the shape of the inputs, so that a model can
    learn to take noise away (``labels="inputs"`` and augmentors of ``AutoDataModule``). Else it is
    the inputs, and labels such as classes are left aside. Weights ``(batch,)`` count in the loss.

    ``predict_step`` gives ``reconstructions``, ``(batch, *input_shape)``, and their ``errors``,
    ``(batch,)``: for each sample the mean of the squares of its differences from its target. Where
    the data module serves batches in time windows, each window is a sample of its own.

    Args:
        network: Recipe of the network: the name ``"autoencoder"``, a dictionary ``{"type": name or
            import path, **arguments}``, or a factory; what it names is called with the input
            shape. Or a finished ``nn.Module``. It maps ``(batch, *input_shape)`` to the same shape,
            and its method ``encode`` to codes.
        loss: Name, recipe or function; see ``LOSSES``. It is called with reconstructions and
            targets of one shape. With weights it needs an attribute ``reduction``, as torch's
            losses have.
        metrics: Metrics of torchmetrics by their names, as recipes or objects; or a dictionary of
            them by the names to log them under. They are given what the loss is given.
        optimizer: Recipe of the optimizer.
        scheduler: Recipe of the learning-rate schedule; ``None`` for a constant rate.
        input_shape: Shape of one sample; ``None`` to take it from the data module.

    Raises:
        ConfigError: If the network, the loss or a metric cannot be made.

    Example:
        >>> import torch
        >>> module = AutoencoderModule({"type": "autoencoder", "latent": 2}, input_shape=(1, 8, 8))
        >>> module.encode(torch.zeros(4, 1, 8, 8)).shape
        torch.Size([4, 2])
    """

    _networks = AUTOENCODERS

    def __init__(
        self,
        network: Recipe | nn.Module = "autoencoder",
        *,
        loss: Loss = "mse",
        metrics: Metrics = (),
        optimizer: Recipe = "adam",
        scheduler: Recipe | None = None,
        input_shape: Shape | None = None,
    ) -> None:
        super().__init__(
            network,
            loss=loss,
            metrics=metrics,
            optimizer=optimizer,
            scheduler=scheduler,
            settings={"input_shape": input_shape},
        )

    def encode(self, inputs: Tensor) -> Tensor:
        """Give the codes of samples.

        Args:
            inputs: Samples of any number type, ``(batch, *input_shape)``.

        Returns:
            Codes, ``(batch, latent)``.

        Raises:
            ConfigError: If the network has no method ``encode``, or its sizes are not known yet.
        """
        network = self.built_network
        encode = getattr(network, "encode", None)
        if encode is None:
            problem = "Expected a network with a method `encode`"
            raise ConfigError(f"{problem}, but got {type(network).__name__}. Give it one.")
        codes: Tensor = encode(inputs.to(self.dtype))
        return codes

    @override
    def select_targets(self, inputs: Inputs, labels: Tensor | None, outputs: Tensor) -> Tensor:
        if isinstance(inputs, Mapping):
            problem = "Expected one array of inputs to make again"
            raise ConfigError(
                f"{problem}, but got {', '.join(inputs)}. Pass `inputs` with one name."
            )
        if outputs.shape != inputs.shape:
            problem = f"Expected the network to give the shape {tuple(inputs.shape)} of its inputs"
            raise ConfigError(f"{problem}, but got {tuple(outputs.shape)}. Pass another network.")
        if labels is not None and labels.shape == inputs.shape:
            return labels.to(outputs.dtype)
        return inputs.to(outputs.dtype)

    @override
    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        outputs, targets, _ = self._compare(batch)
        differences = (outputs - targets).reshape(len(outputs), -1)
        return {"reconstructions": outputs, "errors": differences.square().mean(dim=1)}

    @override
    def _window(self, batch_idx: int) -> Window:
        return Window()  # one is not a part of another's prediction

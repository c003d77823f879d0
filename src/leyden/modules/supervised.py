"""What modules that learn targets from inputs have in common."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import Metric
from typing_extensions import override

from leyden.errors import ConfigError
from leyden.lifecycle import Window, find_window
from leyden.modules.batches import Batch, Inputs, unpack
from leyden.modules.lifecycle import LifecycleModule
from leyden.modules.networks import NETWORKS, make_network
from leyden.modules.objectives import (
    Loss,
    MeanLoss,
    Metrics,
    PhaseMetrics,
    make_loss,
    make_metric,
    name_metrics,
    weighted_loss,
)
from leyden.modules.optimization import configure
from leyden.modules.resetting import trainer_of
from leyden.modules.sizes import Size, plain_size
from leyden.recipes import Recipe, is_plain
from leyden.types import Phase

__all__ = ["SupervisedModule"]

_SO_FAR = "prediction_so_far"  # key of a checkpoint


class SupervisedModule(LifecycleModule):
    """A network with a loss, metrics and an optimizer, each told by name, recipe or object.

    It is a template: a module derived from it says in ``_sizes`` what it takes from the data, and
    overrides some of the following. ``configure_loss`` is called at construction;
    ``configure_network`` and, for each phase, ``configure_metrics`` once the sizes are known; and
    for a batch ``forward``, ``select_targets``, ``compute_loss``, ``interpret`` and, for each
    metric, ``select_for``; in prediction ``forward``, ``interpret`` and ``describe``.

    Args:
        network: Recipe of the network, or a finished ``nn.Module``.
        loss: Name, recipe or function.
        metrics: Names, recipes or objects.
        optimizer: Recipe of the optimizer.
        scheduler: Recipe of the learning-rate schedule; ``None`` for a constant rate.
        settings: Other hyper-parameters, of plain values. Among them are the sizes, which may be
            ``None`` until the data is known.
    """

    _networks: ClassVar[Mapping[str, Callable[..., nn.Module]]] = NETWORKS
    _sizes: ClassVar[Sequence[Size]] = (Size("input_shape", "sample_shape"),)

    def __init__(
        self,
        network: Recipe | nn.Module,
        *,
        loss: Loss,
        metrics: Metrics,
        optimizer: Recipe,
        scheduler: Recipe | None,
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self._recipes: dict[str, Any] = {  # in a dictionary, lest a network is saved twice
            "network": network,
            "loss": loss,
            "metrics": metrics,
            "optimizer": optimizer,
            "scheduler": scheduler,
        }
        plain = {name: recipe for name, recipe in self._recipes.items() if is_plain(recipe)}
        self.save_hyperparameters({**plain, **settings})
        self._named_metrics = name_metrics(metrics)
        self._so_far: Tensor | None = None  # of the windows of an unfinished batch
        self.network: nn.Module | None = None
        self.metrics: PhaseMetrics | None = None
        self.loss = self.configure_loss()
        for size in self._sizes:
            self.hparams[size.argument] = plain_size(self.hparams[size.argument])
        if all(self.hparams[size.argument] is not None for size in self._sizes):
            self._build()

    @property
    def metric_directions(self) -> dict[str, bool | None]:
        """Whether higher is better, by metric; ``None`` if it does not say, nothing until built."""
        known = {} if self.metrics is None else self.metrics.of(Phase.VAL)
        return {name: metric.higher_is_better for name, metric in known.items()}

    @override
    def build_model(self) -> None:
        if self.network is not None:
            return
        data = getattr(trainer_of(self), "datamodule", None)
        for size in self._sizes:
            if self.hparams[size.argument] is None:
                found = None if data is None else self.read_size(data, size.attribute)
                if found is None:
                    raise ConfigError(size.explain(data, self._sizes))
                # Saved for the checkpoint, which is loaded where there may be no data.
                self.hparams[size.argument] = plain_size(found)
        self._build()

    def _build(self) -> None:
        self.network = self.configure_network()
        self.metrics = PhaseMetrics(lambda: {"loss": MeanLoss(), **self.configure_metrics()})

    def read_size(self, data: Any, attribute: str) -> Any:
        """Ask a data module for a size.

        Args:
            data: The data module.
            attribute: Where it has the size.

        Returns:
            A number, a shape, or shapes by name; ``None`` if it does not know.
        """
        return getattr(data, attribute, None)

    def configure_loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """Make the loss."""
        return make_loss(self._recipes["loss"])

    def configure_network(self) -> nn.Module:
        """Make the network, whose recipe is called with the input shape and the output size."""
        sizes = self.output_sizes()
        return make_network(
            self._recipes["network"], self._networks, self.hparams["input_shape"], *sizes
        )

    def output_sizes(self) -> Sequence[int]:
        """Tell what the network's recipe is called with besides the input shape."""
        return ()

    def configure_metrics(self) -> dict[str, Metric]:
        """Make the metrics of a phase, by their names."""
        arguments = self.metric_arguments()
        return {
            name: make_metric(metric, arguments) for name, metric in self._named_metrics.items()
        }

    def metric_arguments(self) -> Mapping[str, Any]:
        """Tell which arguments are filled in where a metric takes them."""
        return {}

    @override
    def forward(self, inputs: Any) -> Tensor:
        """Give the output of the network.

        Args:
            inputs: Samples of any number type, ``(batch, *input_shape)``, or a dictionary of them.
        """
        outputs: Tensor = self.built_network(
            {name: tensor.to(self.dtype) for name, tensor in inputs.items()}
            if isinstance(inputs, Mapping)
            else inputs.to(self.dtype)
        )
        return outputs

    @property
    def built_network(self) -> nn.Module:
        """The network.

        Raises:
            ConfigError: If its sizes are not known yet.
        """
        if self.network is None:
            names = " and ".join(f"`{size.argument}`" for size in self._sizes)
            problem = "Expected the network to be built, but the data is not known yet"
            raise ConfigError(f"{problem}. Pass {names}, or use a Trainer.")
        return self.network

    def select_targets(self, inputs: Inputs, labels: Tensor | None, outputs: Tensor) -> Tensor:
        """Choose what the outputs are compared with.

        Args:
            inputs: Those of the batch.
            labels: Those of the batch, if it has any.
            outputs: What ``forward`` made of the inputs.

        Raises:
            NotImplementedError: If the class does not say.
        """
        raise NotImplementedError(
            f"Expected {type(self).__name__} to say what its outputs are compared with, but it "
            "does not. Override `select_targets`."
        )

    def compute_loss(self, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        """Compute the loss of a batch, a scalar.

        Args:
            outputs: What ``forward`` gave.
            targets: What ``select_targets`` gave.
            weights: Of the samples, ``(batch,)``, or of the targets; ``None`` for equal weights.
        """
        if weights is None:
            return self.loss(outputs, targets)
        return weighted_loss(self.loss, outputs, targets, weights)

    def interpret(self, outputs: Tensor) -> Tensor:
        """Turn outputs into predictions, which can be averaged over the windows of a batch."""
        return outputs

    def select_for(self, metric: Metric, predictions: Tensor) -> Tensor:
        """Choose what a metric is given of the predictions."""
        return predictions

    def describe(self, predictions: Tensor) -> dict[str, Tensor]:
        """Give the predictions of a batch their names."""
        return {"predictions": predictions}

    @override
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        outputs, targets, loss = self._score(batch)
        self._log(Phase.TRAIN, loss, self.interpret(outputs.detach()), targets)
        return loss

    @override
    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._evaluate(Phase.VAL, batch, batch_idx)

    @override
    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._evaluate(Phase.TEST, batch, batch_idx)

    @override
    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        inputs, _, _ = unpack(batch)
        return self.describe(self._combine(self._window(batch_idx), self(inputs)))

    @override
    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer, scheduler = self._recipes["optimizer"], self._recipes["scheduler"]
        return configure(self.parameters(), optimizer, scheduler, trainer=trainer_of(self))

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._so_far is not None:
            checkpoint[_SO_FAR] = self._so_far

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._so_far = checkpoint.get(_SO_FAR)

    def _window(self, batch_idx: int) -> Window:
        trainer = trainer_of(self)
        return Window() if trainer is None else find_window(trainer, batch_idx)

    def _evaluate(self, phase: Phase, batch: Batch, batch_idx: int) -> Tensor:
        outputs, targets, loss = self._score(batch)
        window = self._window(batch_idx)
        predictions = self._combine(window, outputs)
        self._log(phase, loss, predictions if window.is_last else None, targets)
        return loss

    def _score(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Give the outputs, the targets and the loss of a batch."""
        outputs, targets, weights = self._compare(batch)
        return outputs, targets, self.compute_loss(outputs, targets, weights)

    def _compare(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Give the outputs, the targets and the weights of a batch."""
        inputs, labels, weights = unpack(batch)
        outputs = self(inputs)
        return outputs, self.select_targets(inputs, labels, outputs), weights

    def _combine(self, window: Window, outputs: Tensor) -> Tensor:
        """Average the predictions of this window and of those before it in the batch."""
        predictions = self.interpret(outputs)
        if self._so_far is not None and not window.is_first:
            before = self._so_far.to(predictions)
            predictions = before.lerp(predictions, window.share(self.hparams["prediction_weights"]))
        self._so_far = None if window.is_last else predictions
        return predictions

    def _log(self, phase: Phase, loss: Tensor, guess: Tensor | None, targets: Tensor) -> None:
        """Log the loss, and the metrics of predictions if there are any."""
        assert self.metrics is not None  # noqa: S101 - forward has raised if it is
        log = partial(self.log, on_step=False, on_epoch=True, batch_size=len(targets))
        for name, metric in self.metrics.of(phase).items():
            if isinstance(metric, MeanLoss):
                metric.update(loss, len(targets))
            elif guess is not None:
                # Some metrics can only view what lies in one piece.
                metric.update(self.select_for(metric, guess).contiguous(), targets.contiguous())
            else:
                continue
            log(f"{phase}/{name}", metric, prog_bar=name == "loss" or phase is not Phase.TRAIN)

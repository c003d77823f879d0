"""Metrics of each phase, which never share what they have counted."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from typing_extensions import override

from leyden.types import Phase

__all__ = ["MeanLoss", "PhaseMetrics"]


class MeanLoss(Metric):
    """The mean of the losses of batches, in which every row counts the same.

    Lightning's own mean counts the rows of several processes in whole numbers for each; that of
    torchmetrics waits for the device, to look for NaN, or else leaves the sizes of batches aside.

    Example:
        >>> mean = MeanLoss()
        >>> mean.update(torch.tensor(1.0), 3)
        >>> mean.update(torch.tensor(5.0), 1)
        >>> mean.compute().item()
        2.0
    """

    higher_is_better = False
    is_differentiable = False
    full_state_update = False
    total: Tensor
    num_rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("num_rows", torch.tensor(0), dist_reduce_fx="sum")

    @override
    def update(self, loss: Tensor, num_rows: int) -> None:
        """Count a batch.

        Args:
            loss: The mean over its rows.
            num_rows: How many it has.
        """
        # Not in place: what was reset in an inference cannot be changed outside of it.
        self.total = self.total + loss.detach() * num_rows
        self.num_rows = self.num_rows + num_rows

    @override
    def compute(self) -> Tensor:
        """Give the mean so far."""
        return self.total / self.num_rows


class PhaseMetrics(nn.Module):
    """Metrics by their names, once for training, once for validation and once for the test.

    Args:
        make: Makes the metrics of a phase.

    Example:
        >>> from torchmetrics import MeanMetric
        >>> metrics = PhaseMetrics(lambda: {"mean": MeanMetric()})
        >>> metrics.of("val")["mean"] is metrics.of("test")["mean"]
        False
    """

    def __init__(self, make: Callable[[], Mapping[str, Metric]]) -> None:
        super().__init__()
        phases = (Phase.TRAIN, Phase.VAL, Phase.TEST)
        # nn.Module has a method `train`, so a submodule needs another name.
        self._names = {phase: f"of_{phase}" for phase in phases}
        for name in self._names.values():
            made = {f"metric_{metric}": kind for metric, kind in make().items()}
            self.add_module(name, nn.ModuleDict(made))

    def of(self, phase: Phase | str) -> dict[str, Metric]:
        """Give the metrics of a phase, ``"train"``, ``"val"`` or ``"test"``, by their names."""
        parts = self.get_submodule(self._names[Phase(phase)])
        return {
            name.removeprefix("metric_"): metric
            for name, metric in parts.named_children()
            if isinstance(metric, Metric)
        }

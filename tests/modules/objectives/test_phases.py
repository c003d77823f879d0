import pytest
import torch
from torch import nn, tensor
from torchmetrics.classification import BinaryAccuracy

from leyden.modules.objectives.phases import MeanLoss, PhaseMetrics


def test_phases_share_neither_metrics_nor_names_with_modules() -> None:
    names = ["train", "update", "keys", "of"]
    metrics = PhaseMetrics(lambda: {name: BinaryAccuracy() for name in names})
    assert list(metrics.of("train")) == names
    metrics.of("val")["train"].update(tensor([1.0]), tensor([1]))
    counts = [metrics.of(phase)["train"].update_count for phase in ("train", "val", "test")]
    assert counts == [0, 1, 0]
    assert len([one for one in metrics.modules() if isinstance(one, BinaryAccuracy)]) == 12


def mean_of(*batches: tuple[float, int]) -> float:
    mean = MeanLoss()
    for loss, num_rows in batches:
        mean.update(tensor(loss), num_rows)
    return float(mean.compute())


def test_every_row_counts_the_same_in_the_mean_loss() -> None:
    assert mean_of((1.0, 4), (2.0, 4), (10.0, 1)) == pytest.approx((4 + 8 + 10) / 9)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_not_hidden(wrong: float) -> None:
    assert mean_of((1.0, 4), (wrong, 4)) == pytest.approx(wrong, nan_ok=True)


def test_the_mean_loss_keeps_no_graph() -> None:
    mean = MeanLoss()
    mean.update(nn.Linear(1, 1)(torch.ones(1, 1)).mean(), 1)
    assert not mean.total.requires_grad


def test_the_mean_loss_goes_on_after_an_inference() -> None:
    mean = MeanLoss()
    with torch.inference_mode():
        mean.update(tensor(3.0), 1)
        mean.reset()
    mean.update(tensor(5.0), 2)
    assert mean.compute() == 5

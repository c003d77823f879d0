import pytest
import torch
from torch import Tensor, nn, tensor
from torch.nn.functional import cross_entropy
from typing_extensions import override

from leyden.errors import ConfigError, DataError
from leyden.modules import DiceLoss
from leyden.modules.objectives.weighting import weighted_loss

SCORES = tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 3.0]])
CLASSES = tensor([0, 0, 1])
WEIGHTS = tensor([0.5, 2.0, 0.0])


class Squares(nn.Module):
    """A loss that a project brings along."""

    def __init__(self) -> None:
        super().__init__()
        self.reduction = "mean"

    @override
    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        losses = (scores - targets) ** 2
        return losses if self.reduction == "none" else losses.mean()


def test_it_is_the_plain_mean_of_weight_times_loss() -> None:
    losses = cross_entropy(SCORES, CLASSES, reduction="none")
    expected = (0.5 * losses[0] + 2 * losses[1] + 0 * losses[2]) / 3
    found = weighted_loss(nn.CrossEntropyLoss(), SCORES, CLASSES, WEIGHTS)
    assert found.item() == pytest.approx(expected.item())


def test_weights_of_one_change_nothing() -> None:
    found = weighted_loss(nn.CrossEntropyLoss(), SCORES, CLASSES, torch.ones(3))
    assert found.item() == pytest.approx(cross_entropy(SCORES, CLASSES).item())


def test_a_loss_of_ones_own_is_weighted_likewise_and_left_as_it_was() -> None:
    loss = Squares()
    found = weighted_loss(loss, tensor([1.0, 3.0]), tensor([0.0, 0.0]), tensor([2.0, 1.0]))
    assert found.item() == (2 * 1 + 1 * 9) / 2
    assert loss.reduction == "mean"


def test_a_sample_of_several_losses_counts_as_their_mean() -> None:
    scores, targets = tensor([[1.0, 3.0], [2.0, 2.0]]), torch.zeros(2, 2)
    found = weighted_loss(nn.MSELoss(), scores, targets, tensor([1.0, 0.5]))
    assert found.item() == (1 * 5 + 0.5 * 4) / 2


def total(scores: Tensor, classes: Tensor) -> Tensor:
    return cross_entropy(scores, classes)


class Deaf(nn.Module):
    """Says that it can be reduced otherwise, and is always reduced alike."""

    reduction = "mean"
    forward = staticmethod(total)


@pytest.mark.parametrize(("loss", "name"), [(total, "total"), (Deaf(), "Deaf")])
def test_a_loss_that_cannot_be_had_for_each_sample_is_refused(loss: nn.Module, name: str) -> None:
    problem = (
        "Expected `loss` to have a `reduction` that may be 'none', as samples are weighted, but"
        f" got {name}[.] Use a loss of torch.nn, or serve no weights[.]"
    )
    with pytest.raises(ConfigError, match=problem):
        weighted_loss(loss, SCORES, CLASSES, WEIGHTS)


def test_a_reduction_is_put_back_when_the_loss_raises() -> None:
    loss = nn.CrossEntropyLoss(reduction="sum")
    with pytest.raises(ValueError, match="batch_size"):
        weighted_loss(loss, SCORES, CLASSES[:2], WEIGHTS[:2])
    assert loss.reduction == "sum"


@pytest.mark.parametrize("shape", [(2,), (3, 1), ()])
def test_weights_that_are_not_one_for_each_sample_are_refused(shape: tuple[int, ...]) -> None:
    problem = f"Expected one weight for each of 3 samples, but got weights of shape {shape}[.]"
    problem = problem.replace("(", "[(]").replace(")", "[)]")
    with pytest.raises(DataError, match=problem):
        weighted_loss(nn.CrossEntropyLoss(), SCORES, CLASSES, torch.ones(shape))


def test_each_target_may_have_a_weight_of_its_own() -> None:
    scores, targets = tensor([[1.0, 3.0], [2.0, 2.0]]), torch.zeros(2, 2)
    weights = tensor([[1.0, 0.0], [0.5, 2.0]])
    found = weighted_loss(nn.MSELoss(), scores, targets, weights)
    assert found.item() == (1 * 1 + 0 * 9 + 0.5 * 4 + 2 * 4) / 4


def test_a_loss_without_one_value_for_each_target_refuses_their_weights() -> None:
    targets = torch.zeros(2, 2)
    with pytest.raises(ConfigError, match="Expected `loss` to have a `reduction` that may be 'no"):
        weighted_loss(DiceLoss(), targets, targets, torch.ones(2, 2))

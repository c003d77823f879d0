import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn, tensor
from torch.nn.functional import l1_loss

from leyden.errors import ConfigError
from leyden.modules import LOSSES, DiceLoss
from leyden.modules.objectives.losses import make_loss

BATCH = 5


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bce", nn.BCEWithLogitsLoss),
        ("cross_entropy", nn.CrossEntropyLoss),
        ("dice", DiceLoss),
        ("huber", nn.HuberLoss),
        ("l1", nn.L1Loss),
        ("mae", nn.L1Loss),
        ("mse", nn.MSELoss),
        ("multi_margin", nn.MultiMarginLoss),
        ("poisson_nll", nn.PoissonNLLLoss),
        ("smooth_l1", nn.SmoothL1Loss),
        ("torch.nn.GaussianNLLLoss", nn.GaussianNLLLoss),
    ],
)
def test_losses_are_known_by_name(name: str, expected: type[nn.Module]) -> None:
    assert type(make_loss(name)) is expected


def test_every_short_name_can_be_weighted() -> None:
    assert all(getattr(make_loss(name), "reduction", None) == "mean" for name in LOSSES)


def test_a_loss_has_the_arguments_of_its_recipe() -> None:
    loss = make_loss({"type": "huber", "delta": 2.0})
    far = loss(tensor([10.0]), tensor([0.0]))
    assert far.item() == 2 * (10 - 2 / 2)


def test_functions_objects_and_classes_are_taken_too() -> None:
    kept = nn.L1Loss()
    assert make_loss(l1_loss) is l1_loss
    assert make_loss(kept) is kept
    assert type(make_loss(nn.L1Loss)) is nn.L1Loss


@pytest.mark.parametrize(
    ("loss", "problem"),
    [
        ("cross_entrpy", "`loss` to be of a known type .* Did you mean 'cross_entropy'[?] Known:"),
        (
            {"type": "huber", "beta": 1},
            "`loss` to have arguments that huber takes, but got .*'beta'",
        ),
        ({"type": "dice", "reduction": "sum"}, "`reduction` of the loss to be 'mean' or 'none', b"),
    ],
)
def test_losses_that_cannot_be_made_are_refused(loss: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_loss(loss)


def dice_of(shares: list[float], truth: list[int], smooth: float) -> float:
    overlap = sum(share * value for share, value in zip(shares, truth, strict=True))
    return 1 - (2 * overlap + smooth) / (sum(shares) + sum(truth) + smooth)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_dice_of_single_segments_is_that_of_their_probabilities(smooth: float) -> None:
    scores, targets = tensor([[[0.0, 1.0, -2.0]]]), tensor([[[1.0, 1.0, 0.0]]])
    shares = [1 / (1 + math.exp(-score)) for score in (0, 1, -2)]
    found = DiceLoss(smooth=smooth)(scores, targets)
    assert found.item() == pytest.approx(dice_of(shares, [1, 1, 0], smooth))


def test_dice_of_classes_is_the_mean_over_them_and_over_samples() -> None:
    odds = tensor([[[1.0, 2.0], [3.0, 2.0]], [[1.0, 1.0], [1.0, 3.0]]])  # (batch, classes, places)
    classes = tensor([[0, 1], [1, 1]])
    by_hand = [
        (dice_of([1 / 4, 2 / 4], [1, 0], 1) + dice_of([3 / 4, 2 / 4], [0, 1], 1)) / 2,
        (dice_of([1 / 2, 1 / 4], [0, 0], 1) + dice_of([1 / 2, 3 / 4], [1, 1], 1)) / 2,
    ]
    assert DiceLoss(reduction="none")(odds.log(), classes).tolist() == pytest.approx(by_hand)
    assert DiceLoss()(odds.log(), classes).item() == pytest.approx(sum(by_hand) / 2)


def test_dice_is_near_0_when_all_is_right_and_leads_there() -> None:
    torch.manual_seed(0)
    classes = torch.randint(3, (BATCH, 6, 6))
    scores = torch.zeros(BATCH, 3, 6, 6, requires_grad=True)
    before: Tensor = DiceLoss()(scores, classes)
    (gradient,) = torch.autograd.grad(before, scores)
    after = DiceLoss()(scores - 1e4 * gradient, classes)
    assert before.item() > 0.5
    assert after.item() < 0.01

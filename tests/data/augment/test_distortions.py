from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from leyden.data.augment import Draws
from leyden.data.augment.distortions import Distort, GaussianDistortion, Skew
from leyden.errors import ConfigError

DRAWS = Draws.of(seed=0, epoch=0, set_numbers=1, rows=np.arange(60))


def ramps(samples: int, height: int, width: int) -> Tensor:
    """Make images whose channels say where a pixel is: from the left, from the top."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y]).float().expand(samples, 2, height, width)


def strength(moved: Tensor) -> Tensor:
    return moved.abs().mean((0, 1))


@pytest.mark.parametrize(
    "augmentor", [Skew(magnitude=0), Distort(3, 3, 0), GaussianDistortion(3, 3, 0)], ids=type
)
def test_nothing_moves_without_magnitude(augmentor: Any) -> None:
    images = ramps(60, 9, 14)
    assert torch.allclose(augmentor.augment(images, DRAWS), images, atol=1e-4)


def test_skew_keeps_straight_lines_straight() -> None:
    result = Skew("RANDOM", 0.8).augment(ramps(60, 30, 40), DRAWS)
    points = result[:, :, 12, [8, 20, 32]]  # of one line
    first, second = points[..., 1] - points[..., 0], points[..., 2] - points[..., 0]
    assert (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]).abs().max() < 0.05


@pytest.mark.parametrize(
    ("kind", "corners_moved"), [("TILT", {2}), ("TILT_LEFT_RIGHT", {2}), ("CORNER", {1})]
)
def test_skew_moves_corners_inward(kind: str, corners_moved: set[int]) -> None:
    images = ramps(60, 101, 101)
    moved = (Skew(kind, 0.5).augment(images, DRAWS) - images)[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    inward = torch.tensor([[1, -1, 1, -1], [1, 1, -1, -1]])
    assert (moved * inward > -1).all()
    assert (moved * inward).max() < 52
    counts = {int(count) for count in (moved.abs().amax(1) > 2).sum(1)}
    assert counts - {0} == corners_moved


@pytest.mark.parametrize(("kind", "axis"), [("TILT_LEFT_RIGHT", 1), ("TILT_TOP_BOTTOM", 0)])
def test_a_tilted_edge_gets_shorter_along_itself(kind: str, axis: int) -> None:
    images = ramps(60, 101, 101)
    moved = Skew(kind, 0.5).augment(images, DRAWS) - images
    corners = moved[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners[:, 1 - axis].abs().max() < 1
    assert corners[:, axis].abs().max() > 10


def test_distort_holds_the_border_and_pulls_inside() -> None:
    images = ramps(60, 31, 31)
    moved = Distort(3, 3, 4).augment(images, DRAWS) - images
    assert moved[:, 0, :, [0, -1]].abs().max() < 1e-3
    assert moved[:, 1, [0, -1]].abs().max() < 1e-3
    assert 3 < moved.abs().max() <= 4 + 1e-3
    assert moved[:, :, 10, 10].std(0).min() > 1  # where tiles meet


@pytest.mark.parametrize(
    ("corner", "place"),
    [
        ("bell", (15, 15)),
        ("ul", (5, 5)),
        ("ur", (5, 25)),
        ("dl", (25, 5)),
        ("dr", (25, 25)),
    ],
)
def test_gaussian_distortion_pulls_in_a_region(
    corner: Literal["bell", "ul", "ur", "dl", "dr"], place: tuple[int, int]
) -> None:
    images = ramps(60, 31, 31)
    pulled = strength(GaussianDistortion(6, 6, 3, corner=corner).augment(images, DRAWS) - images)
    top, left = divmod(int(pulled.argmax()), 31)
    assert (top, left) == pytest.approx(place, abs=2)


def test_gaussian_distortion_pulls_elsewhere() -> None:
    images = ramps(60, 31, 31)
    inside, outside = (
        strength(GaussianDistortion(6, 6, 3, method=method).augment(images, DRAWS) - images)
        for method in ("in", "out")
    )
    assert inside[15, 15] > 1
    assert outside[15, 15] < 1e-3
    assert inside[5, 5] < 0.1 < outside[5, 5]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Skew("TILTED"), "Expected `skew_type` to be a known choice.*Did you mean 'TILT'"),
        (lambda: Skew(magnitude=35), "Expected `magnitude` to be from 0 and below 1, but got 35"),
        (lambda: Distort(1, 3, 2), "Expected `grid_width` to be a whole number from 2, got 1"),
        (lambda: Distort(3, 3, -2), "Expected `magnitude` to be 0 or above, but got -2"),
        (lambda: GaussianDistortion(3, 3, 2, sdx=0), "`sdx` and `sdy` to be above 0"),
        (lambda: GaussianDistortion(1, 3, 2), "`grid_width` to be a whole number from 2"),
        (
            lambda: GaussianDistortion(3, 3, 2, corner="up"),  # type: ignore[arg-type] # a wrong one
            "Expected `corner` to be a known choice",
        ),
        (
            lambda: GaussianDistortion(3, 3, 2, method="inn"),  # type: ignore[arg-type] # a wrong one
            "Did you mean 'in'",
        ),
    ],
)
def test_arguments_out_of_range_are_refused(make: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make()

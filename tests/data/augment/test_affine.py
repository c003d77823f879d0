import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from leyden.data.augment import Draws
from leyden.data.augment.affine import RotateRange, Shear, Zoom, ZoomRandom
from leyden.errors import ConfigError

DRAWS = Draws.of(seed=0, epoch=0, set_numbers=1, rows=np.arange(40))


def ramps(samples: int, height: int, width: int) -> Tensor:
    """Make images whose channels say where a pixel is: from the left, from the top."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y]).float().expand(samples, 2, height, width)


@pytest.mark.parametrize(
    "augmentor", [RotateRange(0, 0), Shear(0, 0), Zoom(1, 1), ZoomRandom(1)], ids=type
)
def test_nothing_moves_in_an_empty_range(augmentor: Any) -> None:
    images = ramps(40, 9, 14)
    assert torch.allclose(augmentor.augment(images, DRAWS), images, atol=1e-4)


def test_zoom_shows_the_middle_larger() -> None:
    images = ramps(1, 8, 12)
    result = Zoom(2, 2).augment(images, DRAWS[:1])
    middle = images[:, :, 2:6, 3:9]
    expected = interpolate(middle, scale_factor=2, mode="bilinear")[:, :, 1:-1, 1:-1]
    assert torch.allclose(result[:, :, 1:-1, 1:-1], expected, atol=1e-4)


def test_zoom_out_repeats_the_border() -> None:
    result = Zoom(0.5, 0.5).augment(ramps(1, 8, 8), DRAWS[:1])
    assert result[0, 0, 0].tolist() == pytest.approx([0, 0, 0.5, 2.5, 4.5, 6.5, 7, 7], abs=1e-4)


def test_zoom_random_shows_a_part_of_that_area_within_the_image() -> None:
    result = ZoomRandom(0.25).augment(ramps(40, 40, 20), DRAWS)
    across, down = result[:, 0, 0], result[:, 1, :, 0]
    assert torch.allclose(across.diff(), torch.full((40, 19), 0.5), atol=0.26)
    assert (across[:, -1] - across[:, 0] <= 9.5 + 1e-3).all()
    assert (down[:, -1] - down[:, 0] <= 19.5 + 1e-3).all()
    assert across[:, 0].max() - across[:, 0].min() > 7  # of 10
    assert down[:, 0].max() - down[:, 0].min() > 14  # of 20


def test_zoom_random_draws_the_area_where_told() -> None:
    result = ZoomRandom(0.9, randomise=True).augment(ramps(40, 40, 40), DRAWS)
    sides = (result[:, 0, 20, 30] - result[:, 0, 20, 10]) / 20
    assert (sides >= math.sqrt(0.1) - 1e-3).all()
    assert sides.max() - sides.min() > 0.4


def test_rotate_range_turns_against_the_clock_to_the_left() -> None:
    draws = DRAWS[:1]
    images = ramps(1, 21, 21)
    turn = draws.uniform(low=-30, high=0).item()  # degrees
    result = RotateRange(30, 0).augment(images, draws)
    x, y = result[0, :, 10, 14].tolist()  # four to the right of the middle
    angle = math.radians(-turn)  # what is right of the middle comes from below it
    assert (x - 10, y - 10) == pytest.approx((4 * math.cos(angle), 4 * math.sin(angle)), abs=1e-3)


def test_shear_moves_along_one_axis_by_the_distance_from_the_middle() -> None:
    images = ramps(40, 21, 21)
    moved = (Shear(20, 20).augment(images, DRAWS) - images)[:, :, 8:13, 8:13]  # off the border
    across, down = moved[:, 0], moved[:, 1]
    along_x = across.abs().amax((1, 2)) > 1e-3
    assert torch.equal(along_x, ~(down.abs().amax((1, 2)) > 1e-3))
    assert 8 < along_x.sum() < 32
    slopes = across[along_x][:, 4, 0] / 2  # two below the middle
    assert (slopes.abs() <= math.tan(math.radians(20)) + 1e-4).all()
    assert torch.allclose(across[along_x][:, 0, 3], -2 * slopes, atol=1e-3)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Zoom(0, 1), "Expected `min_factor` to be above 0, but got 0"),
        (lambda: Zoom(2, 1), "Expected `min_factor` to be from 0 to `max_factor`"),
        (lambda: ZoomRandom(1.5), "Expected `percentage_area` to be from 0.1 to 1, but got 1.5"),
        (lambda: Shear(86, 0), "Expected `max_shear_left` to be from 0 to 85 degrees, but got 86"),
        (lambda: RotateRange(0, -1), "`max_right_rotation` to be from 0 to 180 degrees"),
    ],
)
def test_arguments_out_of_range_are_refused(make: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make()

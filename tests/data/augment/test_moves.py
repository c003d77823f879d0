from typing import Any, Literal

import numpy as np
import pytest
import torch

from leyden.data.augment import Draws
from leyden.data.augment.moves import Flip, RandomErasing, Rotate
from leyden.errors import ConfigError, DataError

IMAGES = torch.arange(60 * 3 * 4 * 4).view(60, 3, 4, 4)
DRAWS = Draws.of(seed=0, epoch=0, set_numbers=1, rows=np.arange(60))
CORNERS = torch.tensor([[1, 2], [3, 4]]).view(1, 1, 2, 2)


@pytest.mark.parametrize(
    ("direction", "expected"), [("LEFT_RIGHT", [2, 1, 4, 3]), ("TOP_BOTTOM", [3, 4, 1, 2])]
)
def test_flip_mirrors(direction: Any, expected: list[int]) -> None:
    assert Flip(direction).augment(CORNERS, DRAWS[:1]).flatten().tolist() == expected


def test_flip_mirrors_either_way_at_random() -> None:
    result = Flip().augment(IMAGES, DRAWS)
    across = [torch.equal(a, b.flip(-1)) for a, b in zip(result, IMAGES, strict=True)]
    down = [torch.equal(a, b.flip(-2)) for a, b in zip(result, IMAGES, strict=True)]
    assert [not other for other in down] == across
    assert 15 < sum(across) < 45


@pytest.mark.parametrize(
    ("degrees", "expected"), [(90, [2, 4, 1, 3]), (180, [4, 3, 2, 1]), (270, [3, 1, 4, 2])]
)
def test_rotate_turns_against_the_clock(
    degrees: Literal[90, 180, 270], expected: list[int]
) -> None:
    assert Rotate(degrees).augment(CORNERS, DRAWS[:1]).flatten().tolist() == expected


def test_rotate_turns_any_way_at_random() -> None:
    result = Rotate(-1).augment(IMAGES, DRAWS)
    turned = [
        [torch.equal(a, b.rot90(turns, (-2, -1))) for turns in (1, 2, 3)]
        for a, b in zip(result, IMAGES, strict=True)
    ]
    assert all(sum(ways) == 1 for ways in turned)
    assert all(sum(ways) > 8 for ways in zip(*turned, strict=True))


def test_rotate_by_a_half_turn_takes_any_shape() -> None:
    wide = IMAGES[:, :, :2]
    assert torch.equal(Rotate(180).augment(wide, DRAWS), wide.flip(-1, -2))


@pytest.mark.parametrize("degrees", [90, 270, -1])
def test_rotate_by_a_quarter_refuses_images_that_are_not_square(degrees: Any) -> None:
    problem = f"Expected square images to rotate by {degrees}, but got 2 x 4. Pass `rotation=180`"
    with pytest.raises(DataError, match=problem):
        Rotate(degrees).augment(IMAGES[:, :, :2], DRAWS)


@pytest.mark.parametrize("area", [0.1, 0.5, 1.0])
def test_random_erasing_puts_noise_in_a_rectangle(area: float) -> None:
    images = torch.zeros(60, 3, 20, 30)
    result = RandomErasing(area).augment(images, DRAWS)
    for image in result:
        erased = image.amax(0) > 0
        rows, columns = (erased.any(axis).nonzero().flatten() for axis in (1, 0))
        assert erased[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert erased.sum() == len(rows) * len(columns)
        assert 2 <= len(rows) <= max(2, 20 * area)
        assert 3 <= len(columns) <= max(3, 30 * area)
    inside = result[result > 0]
    assert inside.max() < 1
    assert inside.mean() == pytest.approx(0.5, abs=0.05)


def test_random_erasing_reaches_every_place() -> None:
    erased = RandomErasing(0.5).augment(torch.zeros(60, 1, 6, 6), DRAWS).amax((0, 1))
    assert (erased > 0).all()


def test_random_erasing_keeps_bytes() -> None:
    images = torch.full((4, 3, 10, 10), 7, dtype=torch.uint8)
    result = RandomErasing(0.9).augment(images, DRAWS[:4])
    assert result.dtype == torch.uint8
    assert len(set(result.flatten().tolist())) > 100
    assert (images == 7).all()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (
            lambda: Flip("LEFT_RIHGT"),  # type: ignore[arg-type] # a wrong one
            "Expected `top_bottom_left_right` to be a known choice.*Did you mean 'LEFT_RIGHT'",
        ),
        (lambda: Rotate(45), "Expected `rotation` to be 90, 180, 270 or -1"),  # type: ignore[arg-type] # a wrong one
        (
            lambda: RandomErasing(0.05),
            "Expected `rectangle_area` to be from 0.1 to 1, but got 0.05",
        ),
    ],
)
def test_arguments_out_of_range_are_refused(make: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make()

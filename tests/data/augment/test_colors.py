from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from leyden.data.augment import Draws
from leyden.data.augment.colors import (
    Grayscale,
    HistogramEqualisation,
    Invert,
    RandomBrightness,
    RandomColor,
    RandomContrast,
)
from leyden.data.augment.moves import RandomErasing
from leyden.errors import ConfigError, DataError

IMAGES = torch.from_numpy(
    np.random.default_rng(0).integers(20, 236, (5, 3, 12, 17)).astype(np.uint8)
)
DRAWS = Draws.of(seed=0, epoch=0, set_numbers=1, rows=np.arange(5))


def as_pillow(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


def from_pillow(image: Image.Image) -> NDArray[np.int64]:
    return np.asarray(image).transpose(2, 0, 1).astype(np.int64)


def test_invert_turns_light_into_dark() -> None:
    assert torch.equal(Invert().augment(IMAGES, DRAWS), 255 - IMAGES)
    assert torch.equal(Invert().augment(IMAGES / 255, DRAWS), 1 - IMAGES / 255)
    digits = torch.tensor([0.0, 16.0]).view(1, 1, 1, 2)
    assert Invert(max_value=16).augment(digits, DRAWS[:1]).flatten().tolist() == [16, 0]
    assert torch.equal(Invert().augment(IMAGES > 99, DRAWS), IMAGES <= 99)


def test_grayscale_keeps_three_equal_channels() -> None:
    result = Grayscale().augment(IMAGES, DRAWS)
    expected = np.asarray(as_pillow(IMAGES[2]).convert("L")).astype(int)
    assert result.shape == IMAGES.shape
    assert all(np.abs(result[2, channel].numpy() - expected).max() <= 1 for channel in range(3))


def test_grayscale_leaves_gray_images() -> None:
    assert torch.equal(Grayscale().augment(IMAGES[:, :1], DRAWS), IMAGES[:, :1])


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
@pytest.mark.parametrize(
    ("augmentor", "enhance"),
    [
        (RandomBrightness, ImageEnhance.Brightness),
        (RandomColor, ImageEnhance.Color),
        (RandomContrast, ImageEnhance.Contrast),
    ],
)
def test_blends_are_those_of_pillow(augmentor: Any, enhance: Any, factor: float) -> None:
    result = augmentor(factor, factor).augment(IMAGES, DRAWS)
    assert result.dtype == torch.uint8
    for image, changed in zip(IMAGES, result, strict=True):
        expected = from_pillow(enhance(as_pillow(image)).enhance(factor))
        assert np.abs(changed.numpy() - expected).max() <= 2  # Pillow rounds on the way


@pytest.mark.parametrize("augmentor", [RandomBrightness, RandomColor, RandomContrast])
def test_blends_of_floats_are_those_of_bytes(augmentor: Any) -> None:
    whole = augmentor(0.5, 1.5).augment(IMAGES, DRAWS)
    result = augmentor(0.5, 1.5).augment(IMAGES / 255, DRAWS)
    assert (result.min() >= 0) & (result.max() <= 1)
    assert torch.allclose(result * 255, whole.float(), atol=0.51)


def test_every_image_has_a_factor_of_its_own_within_the_range() -> None:
    images = torch.full((200, 1, 2, 2), 0.5)
    draws = Draws.of(seed=0, epoch=0, set_numbers=1, rows=np.arange(200))
    factors = RandomBrightness(0.5, 1.5).augment(images, draws)[:, 0, 0, 0] / 0.5
    assert len(set(factors.tolist())) > 190
    assert 0.5 <= factors.min() < 0.55
    assert 1.45 < factors.max() <= 1.5


@pytest.mark.parametrize("kind", ["noise", "dark", "flat", "two"])
def test_histogram_equalisation_is_that_of_pillow(kind: str) -> None:
    images = {
        "noise": IMAGES,
        "dark": (IMAGES.float() ** 2 / 500).to(torch.uint8),
        "flat": torch.full_like(IMAGES, 77),
        "two": (IMAGES > 100).to(torch.uint8) * 90,
    }[kind]
    result = HistogramEqualisation().augment(images, DRAWS)
    for image, changed in zip(images, result, strict=True):
        assert np.array_equal(changed.numpy(), from_pillow(ImageOps.equalize(as_pillow(image))))


def test_histogram_equalisation_of_floats_is_that_of_bytes() -> None:
    result = HistogramEqualisation().augment(IMAGES / 255, DRAWS)
    whole = HistogramEqualisation().augment(IMAGES, DRAWS)
    assert torch.allclose(result * 255, whole.float(), atol=1e-4)


@pytest.mark.parametrize(
    ("images", "got", "remedy"),
    [
        (torch.full((1, 1, 2, 2), 16.0), "within 0 and 1, but got 16 to 16", "`max_value=16`"),
        (torch.full((1, 1, 2, 2), -0.5), "but got -0.5 to -0.5[.]$", ""),
        (torch.full((1, 1, 2, 2), 300), "within 0 and 255, but got 300 to 300", "`max_value=300`"),
    ],
)
@pytest.mark.parametrize(
    "augmentor", [Invert(), RandomContrast(0.5, 1), HistogramEqualisation()], ids=type
)
def test_values_out_of_range_are_refused(
    augmentor: Any, images: Tensor, got: str, remedy: str
) -> None:
    with pytest.raises(DataError, match=f"Expected the images of .* to be .*{got}") as caught:
        augmentor.augment(images, DRAWS[:1])
    assert remedy in str(caught.value)


@pytest.mark.parametrize("factors", [(-0.1, 1), (1.5, 0.5), (float("nan"), 1)])
def test_factors_out_of_order_are_refused(factors: tuple[float, float]) -> None:
    problem = "Expected `min_factor` to be from 0 to `max_factor`, but got"
    with pytest.raises(ConfigError, match=problem):
        RandomBrightness(*factors)


@pytest.mark.parametrize("value", ["a", 0, -1, float("nan")])
def test_a_white_that_is_no_number_above_zero_is_refused(value: Any) -> None:
    color, erasing = partial(RandomColor, 0, 1), partial(RandomErasing, 1)
    for make in (Invert, HistogramEqualisation, color, erasing):
        with pytest.raises(ConfigError, match="Expected `max_value` to be a"):
            make(max_value=value)

from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import signal

from leyden.data.preprocess import PREPROCESSORS, Preprocessing
from leyden.data.preprocess.transforms import (
    ChannelsFirst,
    Divide,
    Grayscale,
    GrayscaleToColor,
    ImageResize,
    Normalize,
    Replace,
    Spectrogram,
)
from leyden.errors import ConfigError, DataError
from leyden.types import Array

RANDOM = np.random.default_rng(0)
COLOURS = RANDOM.integers(0, 256, (4, 3, 20, 30)).astype(np.uint8)


def as_pillow(image: Array) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32])
def test_divide_divides_numbers_of_any_kind(dtype: type) -> None:
    result = Divide(4).transform(np.array([[2, 6]], dtype))
    assert result.tolist() == [[0.5, 1.5]]


def test_divide_keeps_the_precision_of_large_whole_numbers() -> None:
    assert Divide(1).transform(np.array([2**24 + 1])).tolist() == [2**24 + 1]


def test_replace_keeps_whole_numbers_whole() -> None:
    given = np.array([[1, 2, 1]], np.int16)
    result = Replace(1, 9).transform(given)
    assert (result.tolist(), str(result.dtype)) == ([[9, 2, 9]], "int16")
    assert given.tolist() == [[1, 2, 1]]


def test_replace_makes_floats_where_it_has_to() -> None:
    result = Replace(1, 0.5).transform(np.array([1, 2], np.uint8))
    assert (result.tolist(), str(result.dtype)) == ([0.5, 2], "float32")


def test_replace_finds_what_is_not_a_number() -> None:
    assert Replace(np.nan, 0).transform(np.array([np.nan, 2.0])).tolist() == [0, 2]


def test_replace_refuses_a_value_that_does_not_fit() -> None:
    with pytest.raises(DataError, match="Expected `to_val` to fit into uint8, but got -1"):
        Replace(255, -1).transform(np.array([255], np.uint8))


def test_normalize_takes_one_number_for_all() -> None:
    assert Normalize(1, 2).transform(np.array([[1, 5]])).tolist() == [[0, 2]]


def test_normalize_takes_one_number_for_each_channel() -> None:
    images = np.ones((2, 3, 4, 5), np.uint8)
    result = Normalize([1, 0, 1], [1, 2, 3]).transform(images)
    assert result[1, :, 3, 4].tolist() == [0, 0.5, 0]
    assert result.shape == images.shape


@pytest.mark.parametrize("shape", [(3,), (2, 4, 5)])
def test_normalize_refuses_another_number_of_channels(shape: tuple[int, ...]) -> None:
    problem = r"Expected the inputs of normalize to have a channel for each number of \[1, 2, 3\]"
    with pytest.raises(DataError, match=problem):
        Normalize([1, 2, 3], 1).transform(np.zeros(shape))


def test_channels_first_moves_the_channels() -> None:
    images = RANDOM.random((2, 4, 5, 3))
    result = ChannelsFirst().transform(images)
    assert result.shape == (2, 3, 4, 5)
    assert result[1, 2, 3, 4] == images[1, 3, 4, 2]
    assert result.flags.c_contiguous


def test_channels_first_refuses_other_shapes() -> None:
    with pytest.raises(DataError, match=r"images \(rows, height, width, channels\), but got shape"):
        ChannelsFirst().transform(np.zeros((2, 3, 4)))


def test_grayscale_is_that_of_pillow() -> None:
    result = Grayscale().transform(COLOURS)
    assert (result.shape, str(result.dtype)) == ((4, 1, 20, 30), "uint8")
    expected = np.stack([np.asarray(as_pillow(image).convert("L")) for image in COLOURS])
    difference = np.abs(result[:, 0].astype(int) - expected)
    assert difference.max() <= 1  # Pillow rounds its weights
    assert difference.mean() < 0.01


def test_grayscale_of_floats_is_not_rounded() -> None:
    image = np.array([1.0, 0.5, 0.25]).reshape(1, 3, 1, 1)
    assert Grayscale().transform(image).item() == pytest.approx(0.299 + 0.2935 + 0.0285)


@pytest.mark.parametrize("shape", [(2, 1, 4, 4), (2, 4, 4)])
def test_grayscale_to_color_makes_three_equal_channels(shape: tuple[int, ...]) -> None:
    gray = RANDOM.random(shape)
    result = GrayscaleToColor().transform(gray)
    assert result.shape == (2, 3, 4, 4)
    assert all(np.array_equal(result[:, channel], gray.reshape(2, 4, 4)) for channel in range(3))


@pytest.mark.parametrize("size", [(8, 10), (40, 45), (20, 30)])
def test_image_resize_is_that_of_pillow(size: tuple[int, int]) -> None:
    height, width = size
    result = ImageResize(width=width, height=height).transform(COLOURS)
    bilinear = Image.Resampling.BILINEAR
    resized = [as_pillow(image).resize((width, height), bilinear) for image in COLOURS]
    expected = np.stack([np.asarray(image).transpose(2, 0, 1) for image in resized])
    assert (result.shape, str(result.dtype)) == ((4, 3, height, width), "uint8")
    assert np.abs(result.astype(int) - expected).max() <= 1


def test_image_resize_keeps_the_dtype_and_stays_in_range() -> None:
    images = np.zeros((1, 1, 4, 4), np.uint8)
    images[..., 2:] = 255  # bicubic shoots beyond edges
    result = ImageResize(9, 9, mode="bicubic").transform(images)
    assert (result.min(), result.max(), str(result.dtype)) == (0, 255, "uint8")


def test_image_resize_takes_the_nearest_pixel() -> None:
    images = np.arange(4.0).reshape(1, 1, 2, 2)
    result = ImageResize(4, 2, mode="nearest-exact").transform(images)
    assert result.tolist() == [[[[0, 0, 1, 1], [2, 2, 3, 3]]]]


def test_image_resize_takes_memory_that_is_read_only() -> None:
    images = np.ones((1, 1, 4, 4), np.float32)
    images.flags.writeable = False
    assert ImageResize(2, 2).transform(images).shape == (1, 1, 2, 2)


@pytest.mark.parametrize("shape", [(6, 1000), (6, 1000, 2)])
def test_spectrogram_shows_the_frequency_of_a_tone(shape: tuple[int, ...]) -> None:
    tone = np.sin(2 * np.pi * 400 * np.arange(1000) / 4000).astype(np.float32)
    series = np.zeros(shape, np.float32)
    series[..., 0] = 0
    if len(shape) == 3:
        series[:, :, 0] = tone
    else:
        series[:] = tone
    result = Spectrogram().transform(series)
    assert result.shape == (6, 1 + (1000 - 100) // 40, 51)  # time before frequency
    assert (result.argmax(axis=2) == 10).all()  # 400 Hz, in steps of 40 Hz


def test_spectrogram_is_that_of_scipy() -> None:
    series = RANDOM.standard_normal((3, 300, 2)).astype(np.float32)
    result = Spectrogram(nfft=64, fs=100, noverlap=32, channel=1).transform(series)
    expected = signal.spectrogram(
        series[2, :, 1], fs=100, nperseg=64, noverlap=32, window=("tukey", 0.25)
    )[2]
    assert np.allclose(result[2].T, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    ("shape", "channel"), [((2, 99), 0), ((2, 200, 2), 2), ((2,), 0), ((2, 3, 200, 2), 0)]
)
def test_spectrogram_refuses_what_are_no_series(shape: tuple[int, ...], channel: int) -> None:
    with pytest.raises(DataError, match="Expected the inputs of spectrogram to be series with"):
        Spectrogram(channel=channel).transform(np.zeros(shape))


@pytest.mark.parametrize(
    "name", ["grayscale", "grayscale_to_color", {"type": "image_resize", "width": 2, "height": 2}]
)
def test_image_steps_refuse_what_are_not_images(name: Any) -> None:
    with pytest.raises(DataError, match=r"to be images \(rows, .*, but got shape \(2, 4\)"):
        Preprocessing([name]).transform(np.zeros((2, 4)))


@pytest.mark.parametrize(
    ("recipe", "problem"),
    [
        ({"type": "divide", "factor": 0}, "`factor` to be other than zero, but got 0"),
        ({"type": "normalize", "mean": 0, "std": [1, 0]}, "`std` to have no zero"),
        ({"type": "image_resize", "width": 0, "height": 2}, "`width` to be a whole number from 1"),
        (
            {"type": "image_resize", "width": 2, "height": 2, "mode": "bilinaer"},
            "Did you mean 'bilinear'",
        ),
        ({"type": "spectrogram", "nfft": 60}, "`noverlap` to be from 0 and below `nfft`, 60"),
        ({"type": "divide", "factor": "255"}, "`factor` to be a finite number, but got '255'"),
        (
            {"type": "replace", "from_val": "nan", "to_val": 0},
            r"`from_val` to be a number, but got 'nan'. What is not a number is float\('nan'\)",
        ),
        ({"type": "replace", "from_val": 0, "to_val": None}, "`to_val` to be a number, but got"),
        ({"type": "normalize", "mean": "0.5", "std": 1}, "`mean` to be a finite number"),
        ({"type": "normalize", "mean": 0, "std": [1, "a"]}, "`std` to be a finite .* but got 'a'"),
        ({"type": "spectrogram", "fs": 0}, "`fs` to be above zero, but got 0"),
        ({"type": "spectrogram", "nfft": "64"}, "`nfft` to be a whole number from 1, but got '64'"),
        ({"type": "spectrogram", "channel": 0.5}, "`channel` to be a whole number, but got 0.5"),
        ({"type": "kbest", "scorer": "chi"}, "`scorer` to be a known one.*Did you mean 'chi2'"),
    ],
)
def test_arguments_out_of_range_are_refused(recipe: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Preprocessing([recipe])


def test_names_cannot_be_changed_by_others() -> None:
    assert list(PREPROCESSORS) == sorted(PREPROCESSORS)
    with pytest.raises(TypeError, match="does not support item assignment"):
        PREPROCESSORS["divide"] = Divide  # type: ignore[index] # what must fail

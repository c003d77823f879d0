"""Preprocessors by short name: those that need no fitting are here, the others scikit-learn's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from math import inf
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from scipy.signal import spectrogram
from torch.nn.functional import interpolate

from leyden.data.images import LUMA, check_images
from leyden.errors import ConfigError, DataError, check_number, check_whole, suggest
from leyden.types import Array

__all__ = [
    "PREPROCESSORS",
    "ChannelsFirst",
    "Divide",
    "Grayscale",
    "GrayscaleToColor",
    "ImageResize",
    "Normalize",
    "Replace",
    "Spectrogram",
]

_SCORERS = ("chi2", "f_classif", "f_regression")
_MODES = ("bilinear", "bicubic", "nearest-exact")


@dataclass(frozen=True, slots=True)
class Divide:
    """Divides by a number.

    Args:
        factor: What by.

    Raises:
        ConfigError: If ``factor`` is zero or no number.
    """

    factor: float

    def __post_init__(self) -> None:
        check_number("factor", self.factor, -inf)
        if not self.factor:
            raise ConfigError(f"Expected `factor` to be other than zero, but got {self.factor!r}.")

    def transform(self, inputs: Array) -> Array:
        """Divide a batch of any shape."""
        return _as_float(inputs) / self.factor


@dataclass(frozen=True, slots=True)
class Replace:
    """Puts one value in the place of another.

    Args:
        from_val: Which value; ``nan`` finds what is not a number.
        to_val: What instead.

    Raises:
        ConfigError: If one is no number.
    """

    from_val: float
    to_val: float

    def __post_init__(self) -> None:
        given: dict[str, Any] = {"from_val": self.from_val, "to_val": self.to_val}
        for name, value in given.items():
            if not isinstance(value, Real):
                problem = f"Expected `{name}` to be a number, but got {value!r}."
                raise ConfigError(f"{problem} What is not a number is float('nan'), .nan in YAML.")

    def transform(self, inputs: Array) -> Array:
        """Replace in a batch of any shape; whole numbers stay whole where ``to_val`` is."""
        found = np.isnan(inputs) if np.isnan(self.from_val) else inputs == self.from_val
        whole = inputs.dtype.kind in "iu" and float(self.to_val).is_integer()
        if whole and not _fits(self.to_val, inputs.dtype):
            problem = f"Expected `to_val` to fit into {inputs.dtype}, but got {self.to_val!r}."
            raise DataError(problem)
        result = np.array(inputs if whole else _as_float(inputs))
        result[found] = self.to_val
        return result


@dataclass(frozen=True, slots=True)
class Normalize:
    """Subtracts a mean and divides by a deviation, both known beforehand.

    Args:
        mean: One number, or one for each channel (axis 1).
        std: Likewise.

    Raises:
        ConfigError: If ``std`` has a zero, or one has what is no number.
    """

    mean: float | Sequence[float]
    std: float | Sequence[float]

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            given = values.tolist() if hasattr(values, "tolist") else values
            for value in np.ravel(np.asarray(given, object)):
                check_number(name, value, -inf)
        if not np.all(self.std):
            raise ConfigError(f"Expected `std` to have no zero, but got {self.std!r}.")

    def transform(self, inputs: Array) -> Array:
        """Normalize a batch ``(rows, channels, ...)``."""
        inputs = _as_float(inputs)
        mean, std = (self._along(axis, inputs) for axis in (self.mean, self.std))
        return (inputs - mean) / std

    def _along(self, values: float | Sequence[float], inputs: Array) -> Array:
        numbers = np.asarray(values, inputs.dtype)
        if numbers.size == 1:
            return numbers.reshape(())
        if inputs.ndim < 2 or numbers.shape != inputs.shape[1:2]:
            problem = "Expected the inputs of normalize to have a channel for each number"
            raise DataError(f"{problem} of {values}, but got shape {inputs.shape}.")
        return numbers.reshape(-1, *[1] * (inputs.ndim - 2))


@dataclass(frozen=True, slots=True)
class ChannelsFirst:
    """Moves the channels of images from the last axis to the first."""

    def transform(self, inputs: Array) -> Array:
        """Turn ``(rows, height, width, channels)`` into ``(rows, channels, height, width)``."""
        if inputs.ndim != 4:
            problem = "Expected the inputs of channels_first to be images"
            shape = f"(rows, height, width, channels), but got shape {inputs.shape}."
            raise DataError(f"{problem} {shape}")
        return np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))


@dataclass(frozen=True, slots=True)
class Grayscale:
    """Makes one channel of brightness from red, green and blue."""

    def transform(self, inputs: Array) -> Array:
        """Turn ``(rows, 3, height, width)`` into ``(rows, 1, height, width)``, dtype kept."""
        check_images(inputs.shape, "grayscale", channels=(3,))
        red, green, blue = (_as_float(inputs[:, [channel]]) for channel in range(3))
        gray = red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]
        result: Array = np.rint(gray).astype(inputs.dtype) if inputs.dtype.kind in "iu" else gray
        return result


@dataclass(frozen=True, slots=True)
class GrayscaleToColor:
    """Makes red, green and blue, all alike, from one channel of brightness."""

    def transform(self, inputs: Array) -> Array:
        """Turn ``(rows, 1, height, width)`` or ``(rows, height, width)`` into three channels."""
        images = inputs[:, None] if inputs.ndim == 3 else inputs
        check_images(images.shape, "grayscale_to_color", channels=(1,))
        return np.repeat(images, 3, axis=1)


@dataclass(frozen=True, slots=True)
class ImageResize:
    """Makes all images one size, smoothly also where they get smaller.

    Args:
        width: The width wanted, in pixels.
        height: The height wanted, in pixels.
        mode: ``"bilinear"``, ``"bicubic"`` or ``"nearest-exact"``; the first two average over the
            pixels that become one, as Pillow does.

    Raises:
        ConfigError: If a size is below one, or the mode is not known.
    """

    width: int
    height: int
    mode: Literal["bilinear", "bicubic", "nearest-exact"] = "bilinear"

    def __post_init__(self) -> None:
        for name, size in (("width", self.width), ("height", self.height)):
            if type(size) is not int or size < 1:
                raise ConfigError(f"Expected `{name}` to be a whole number from 1, got {size!r}.")
        if self.mode not in _MODES:
            problem = f"Expected `mode` to be a known one, but got {self.mode!r}."
            raise ConfigError(f"{problem} {suggest(str(self.mode), _MODES)}")

    def transform(self, inputs: Array) -> Array:
        """Resize ``(rows, channels, height, width)``, dtype kept."""
        check_images(inputs.shape, "image_resize")
        images = torch.from_numpy(np.require(_as_float(inputs), requirements=["C", "W"]))
        smooth = self.mode != "nearest-exact"
        size = (self.height, self.width)
        result: Array = interpolate(images, size, mode=self.mode, antialias=smooth).numpy()
        if inputs.dtype.kind not in "iu":
            return result
        limits = np.iinfo(inputs.dtype)
        return np.rint(result).clip(limits.min, limits.max).astype(inputs.dtype)


@dataclass(frozen=True, slots=True)
class Spectrogram:
    """Makes pictures of which frequencies a series has when.

    Args:
        nfft: Steps of one segment, which is transformed as a whole.
        fs: Steps per second, in Hz.
        noverlap: Steps that neighbouring segments share.
        channel: Which channel to look at; the others are left out.

    Raises:
        ConfigError: If segments do not move on, or an argument is no such number.
    """

    nfft: int = 100
    fs: float = 4000
    noverlap: int = 60
    channel: int = 0

    def __post_init__(self) -> None:
        check_whole("nfft", self.nfft, 1)
        check_number("fs", self.fs, 0)
        if not self.fs:
            raise ConfigError(f"Expected `fs` to be above zero, but got {self.fs!r}.")
        given: dict[str, Any] = {"noverlap": self.noverlap, "channel": self.channel}
        for name, value in given.items():
            if not isinstance(value, Integral):
                raise ConfigError(f"Expected `{name}` to be a whole number, but got {value!r}.")
        if not 0 <= self.noverlap < self.nfft:
            problem = f"Expected `noverlap` to be from 0 and below `nfft`, {self.nfft}"
            raise ConfigError(f"{problem}, but got {self.noverlap!r}.")

    def transform(self, inputs: Array) -> Array:
        """Turn ``(rows, time)`` or ``(rows, time, channels)`` into power densities.

        Returns:
            ``(rows, segments, nfft // 2 + 1)``, in squared units of the inputs per Hz.
        """
        series = inputs[..., None] if inputs.ndim == 2 else inputs
        known = series.ndim == 3 and series.shape[1] >= self.nfft
        if not known or not -series.shape[2] <= self.channel < series.shape[2]:
            problem = f"Expected the inputs of spectrogram to be series with channel {self.channel}"
            wanted = f"of {self.nfft} steps or more, (rows, time, channels)"
            raise DataError(f"{problem} {wanted}, but got shape {inputs.shape}.")
        chosen = _as_float(series[:, :, self.channel])
        settings = {"fs": self.fs, "nperseg": self.nfft, "noverlap": self.noverlap}
        _, _, power = spectrogram(chosen, window=("tukey", 0.25), **settings)
        return np.ascontiguousarray(power.transpose(0, 2, 1))


def _as_float(inputs: Array) -> Array:
    if inputs.dtype in (np.float32, np.float64):
        return inputs
    wide = inputs.dtype.kind in "iu" and inputs.dtype.itemsize > 2  # more than float32 can tell
    return inputs.astype(np.float64 if wide else np.float32)


def _fits(value: float, dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    return bool(limits.min <= value <= limits.max)


def _estimator(path: str, *args: Any, **settings: Any) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(f"sklearn.{module}"), name)(*args, **settings)  # slow to import


def _kbest(*, scorer: str = "chi2", k: int | Literal["all"] = 1000) -> Any:
    if scorer not in _SCORERS:
        problem = f"Expected `scorer` to be a known one, but got {scorer!r}."
        raise ConfigError(f"{problem} {suggest(str(scorer), _SCORERS)}")
    score = getattr(import_module("sklearn.feature_selection"), scorer)
    return _estimator("feature_selection.SelectKBest", score, k=k)


PREPROCESSORS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "channels_first": ChannelsFirst,
        "divide": Divide,
        "grayscale": Grayscale,
        "grayscale_to_color": GrayscaleToColor,
        "image_resize": ImageResize,
        "kbest": _kbest,
        "min_max_scaler": partial(_estimator, "preprocessing.MinMaxScaler"),
        "normalize": Normalize,
        "replace": Replace,
        "robust_scaler": partial(_estimator, "preprocessing.RobustScaler"),
        "spectrogram": Spectrogram,
        "standard_scaler": partial(_estimator, "preprocessing.StandardScaler"),
    }
)
"""What makes the preprocessor of each short name."""

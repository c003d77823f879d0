"""Networks of fully connected and of convolutional layers."""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import batch_norm
from typing_extensions import override

from leyden.errors import ConfigError

__all__ = ["CNN", "MLP", "Standardization", "channels_first", "convolution", "has_channels_last"]


class MLP(nn.Module):
    """A stack of fully connected layers on standardised inputs of any shape.

    Args:
        input_shape: Shape of one sample; flattened.
        num_outputs: Size of the output.
        hidden: Width of each hidden layer.
        dropout: Fraction of hidden units that are dropped in training.

    Example:
        >>> import torch
        >>> MLP((8, 8), 10, hidden=[32])(torch.zeros(4, 8, 8)).shape
        torch.Size([4, 10])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        *,
        hidden: Sequence[int] = (256, 128),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        sizes = [math.prod(input_shape), *hidden]
        layers: list[nn.Module] = [nn.Flatten(), Standardization(sizes[0], affine=False)]
        for size_in, size_out in zip(sizes, hidden, strict=False):
            layers += [nn.Linear(size_in, size_out), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], num_outputs))

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(batch, *input_shape)`` to ``(batch, num_outputs)``."""
        output: Tensor = self.layers(inputs.unsqueeze(-1))  # a sample may be a single number
        return output


class Standardization(nn.BatchNorm1d):
    """Standardises features; a single sample, which has no spread, by those seen before it."""

    @override
    def forward(self, input: Tensor) -> Tensor:
        if len(input) > 1:
            return super().forward(input)
        return batch_norm(input, self.running_mean, self.running_var, eps=self.eps)

    def undo(self, scaled: Tensor) -> Tensor:
        """Put values back on the scale of all inputs so far, ``(batch, features, length)``."""
        mean, variance = self.running_mean, self.running_var
        assert mean is not None  # noqa: S101 - they are kept unless it is told not to
        assert variance is not None  # noqa: S101 - likewise
        return scaled * (variance + self.eps).sqrt().unsqueeze(-1) + mean.unsqueeze(-1)


class CNN(nn.Module):
    """Convolutional stages that halve the resolution, then a linear layer.

    Each stage is two 3 x 3 convolutions with batch normalisation, and pooling for as long as the
    image is at least 4 pixels wide and high. Inputs are standardised first.

    Args:
        input_shape: Shape of one image: ``(height, width)``, ``(channels, height, width)``, or
            ``(height, width, channels)`` with up to 4 channels.
        num_outputs: Size of the output.
        filters: Channels of each stage.
        dropout: Fraction of features that are dropped in training before the last layer.

    Raises:
        ConfigError: If ``input_shape`` is that of no image.

    Example:
        >>> import torch
        >>> CNN((1, 8, 8), 10)(torch.zeros(4, 1, 8, 8)).shape
        torch.Size([4, 10])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        *,
        filters: Sequence[int] = (32, 64),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if len(input_shape) not in (2, 3):
            problem = "Expected samples of shape (height, width) or (channels, height, width)"
            got = f"for a CNN, but got {tuple(input_shape)}"
            raise ConfigError(f"{problem} {got}. Use model=mlp, or reshape the shards.")
        self._channels_last = has_channels_last(input_shape)
        shape = channels_first(input_shape, last=self._channels_last)
        self._image_shape = shape
        layers: list[nn.Module] = [nn.BatchNorm2d(shape[0], affine=False)]
        channels, smallest = shape[0], min(shape[1:])
        for stage in filters:
            layers += [*convolution(channels, stage), *convolution(stage, stage)]
            channels = stage
            if smallest >= 4:
                layers.append(nn.MaxPool2d(2))
                smallest //= 2
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * channels, num_outputs))

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(batch, *input_shape)`` to ``(batch, num_outputs)``."""
        images = inputs.movedim(-1, 1) if self._channels_last else inputs
        output: Tensor = self.head(self.features(images.reshape(-1, *self._image_shape)))
        return output


def has_channels_last(shape: Sequence[int]) -> bool:
    """Say whether images of a shape are ``(height, width, channels)``, of up to 4 channels."""
    return len(shape) == 3 and shape[2] <= 4 < shape[0]


def channels_first(shape: Sequence[int], *, last: bool) -> tuple[int, int, int]:
    """Give ``(channels, height, width)`` for the shape of an image, which may have no channels."""
    height_width = shape[:2] if last else shape[-2:]
    channels = shape[2] if last else math.prod(shape[:-2])
    return channels, height_width[0], height_width[1]


def convolution(channels_in: int, channels_out: int) -> list[nn.Module]:
    """Make the layers of a 3 x 3 convolution that is normalised and rectified."""
    convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(channels_out), nn.ReLU()]

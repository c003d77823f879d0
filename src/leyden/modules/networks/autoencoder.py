"""A network that squeezes its inputs through a few numbers and makes them again."""

import math
from collections.abc import Sequence
from itertools import chain, pairwise

from torch import Tensor, nn
from typing_extensions import override

from leyden.errors import ConfigError
from leyden.modules.networks.feedforward import (
    Standardization,
    channels_first,
    convolution,
    has_channels_last,
)

__all__ = ["Autoencoder"]


class Autoencoder(nn.Module):
    """An encoder to a short code, and a decoder that is its mirror image.

    Images are encoded by stages of two 3 x 3 convolutions, each of which halves the resolution for
    as long as the image is at least 4 pixels wide and high, and a linear layer; anything else by
    fully connected layers. Inputs are standardised first, by channel or by feature, and what is
    decoded is put back on their scale, so that raw pixels will do.

    Args:
        input_shape: Shape of one sample; an image is ``(height, width)``, ``(channels, height,
            width)``, or ``(height, width, channels)`` with up to 4 channels.
        latent: Size of the code.
        filters: Channels of each stage, for images.
        hidden: Width of each hidden layer, for anything else.
        is_image: Whether samples are images; ``None`` for those of three axes.

    Raises:
        ConfigError: If ``input_shape`` is said to be that of an image, and is not.

    Example:
        >>> import torch
        >>> network = Autoencoder((1, 8, 8), latent=3)
        >>> code = network.encode(torch.zeros(4, 1, 8, 8))
        >>> code.shape, network.decode(code).shape
        (torch.Size([4, 3]), torch.Size([4, 1, 8, 8]))
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        *,
        latent: int = 16,
        filters: Sequence[int] = (32, 64),
        hidden: Sequence[int] = (256, 128),
        is_image: bool | None = None,
    ) -> None:
        super().__init__()
        if is_image is None:
            is_image = len(input_shape) == 3
        if is_image and len(input_shape) not in (2, 3):
            problem = "Expected images of shape (height, width) or (channels, height, width)"
            got = f"but got samples of shape {tuple(input_shape)}"
            raise ConfigError(f"{problem}, {got}. Leave `is_image` out.")
        self._channels_last = is_image and has_channels_last(input_shape)
        shape = tuple(input_shape)
        if self._channels_last:
            shape = (shape[2], *shape[:2])
        self._sample_shape = shape  # with the channels, if there are any, first
        if is_image:
            self._shape: tuple[int, ...] = channels_first(input_shape, last=self._channels_last)
            self.encoder, self.decoder = _convolutional(self._shape, filters, latent)
        else:
            self._shape = (math.prod(shape),)
            self.encoder, self.decoder = _dense([*self._shape, *hidden, latent])
        # Without momentum: the mean over all batches, which fits from the first one on.
        self.scale = Standardization(self._shape[0], affine=False, momentum=None)

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        """Make samples again from their codes, ``(batch, *input_shape)``."""
        return self.decode(self.encode(inputs))

    def encode(self, inputs: Tensor) -> Tensor:
        """Map ``(batch, *input_shape)`` to codes, ``(batch, latent)``."""
        samples = inputs.movedim(-1, 1) if self._channels_last else inputs
        scaled = self.scale(samples.reshape(len(inputs), self._shape[0], -1))
        codes: Tensor = self.encoder(scaled.reshape(-1, *self._shape))
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Map codes, ``(batch, latent)``, to samples, ``(batch, *input_shape)``."""
        scaled = self.decoder(codes).reshape(len(codes), self._shape[0], -1)
        samples = self.scale.undo(scaled).reshape(-1, *self._sample_shape)
        return samples.movedim(1, -1) if self._channels_last else samples


def _dense(sizes: Sequence[int]) -> tuple[nn.Sequential, nn.Sequential]:
    return _linear(sizes), _linear(sizes[::-1])


def _linear(sizes: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size_in, size_out in pairwise(sizes):
        layers += [nn.Linear(size_in, size_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _convolutional(
    shape: tuple[int, ...], filters: Sequence[int], latent: int
) -> tuple[nn.Sequential, nn.Sequential]:
    channels, size = shape[0], shape[1:]
    encoder: list[nn.Module] = []
    stages: list[list[nn.Module]] = []  # of the decoder
    for stage in filters:
        encoder += [*convolution(channels, stage), *convolution(stage, stage)]
        mirrored = [*convolution(stage, stage), *convolution(stage, channels)]
        if min(size) >= 4:
            encoder.append(nn.MaxPool2d(2))
            mirrored.insert(0, nn.Upsample(size=size))
            size = (size[0] // 2, size[1] // 2)
        stages.insert(0, mirrored)
        channels = stage
    inner = (channels, *size)
    if stages:
        stages[-1][-3:] = [nn.Conv2d(filters[0], shape[0], 3, padding=1)]  # of any value
    decoder = [nn.Linear(latent, math.prod(inner)), nn.Unflatten(1, inner), *chain(*stages)]
    encoder += [nn.Flatten(), nn.Linear(math.prod(inner), latent)]
    return nn.Sequential(*encoder), nn.Sequential(*decoder)

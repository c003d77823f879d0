import re

import pytest
import torch
from torch import nn

from leyden.errors import ConfigError
from leyden.modules import Autoencoder

SHAPES = [(5,), (), (6, 3), (1, 8, 8), (3, 7, 9), (9, 7, 3), (2, 2, 2), (1, 1, 5), (2, 3, 4, 5)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", [1, 5])
def test_it_takes_and_gives_samples_of_any_shape(shape: tuple[int, ...], batch: int) -> None:
    network = Autoencoder(shape, latent=3, filters=[4, 5], hidden=[6]).eval()
    inputs = torch.randn(batch, *shape)
    assert network(inputs).shape == inputs.shape
    assert network.encode(inputs).shape == (batch, 3)
    assert torch.equal(network.decode(network.encode(inputs)), network(inputs))


@pytest.mark.parametrize("shape", [(5,), (1, 8, 8), (9, 7, 3), (2, 2, 2)])
def test_every_weight_is_trained(shape: tuple[int, ...]) -> None:
    network = Autoencoder(shape, latent=3, filters=[4, 5], hidden=[6])
    network(torch.randn(6, *shape)).square().sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


def sizes(network: nn.Module, kind: type[nn.Conv2d] | type[nn.Linear]) -> list[tuple[int, int]]:
    weights = [part.weight for part in network.modules() if isinstance(part, kind)]
    return [(weight.shape[1], weight.shape[0]) for weight in weights]


def test_the_decoder_of_images_mirrors_the_encoder() -> None:
    network = Autoencoder((3, 9, 8), latent=2, filters=[4, 5])
    assert sizes(network.encoder, nn.Conv2d) == [(3, 4), (4, 4), (4, 5), (5, 5)]
    assert sizes(network.decoder, nn.Conv2d) == [(5, 5), (5, 4), (4, 4), (4, 3)]
    assert sizes(network.encoder, nn.Linear) == [(5 * 2 * 2, 2)]
    assert sizes(network.decoder, nn.Linear) == [(2, 5 * 2 * 2)]


def test_the_decoder_of_anything_else_mirrors_the_encoder() -> None:
    network = Autoencoder((4, 3), latent=2, hidden=[7, 5])
    assert sizes(network.encoder, nn.Linear) == [(12, 7), (7, 5), (5, 2)]
    assert sizes(network.decoder, nn.Linear) == [(2, 5), (5, 7), (7, 12)]


def test_without_stages_or_hidden_layers_it_is_linear() -> None:
    for shape in ((1, 4, 4), (16,)):
        network = Autoencoder(shape, latent=2, filters=[], hidden=[])
        assert sizes(network, nn.Linear) == [(16, 2), (2, 16)]
        assert network(torch.randn(3, *shape)).shape == (3, *shape)


def test_images_without_channels_are_told_to_be_images() -> None:
    assert sizes(Autoencoder((8, 8)), nn.Conv2d) == []
    network = Autoencoder((8, 8), is_image=True)
    assert sizes(network, nn.Conv2d)[0] == (1, 32)
    assert network(torch.randn(3, 8, 8)).shape == (3, 8, 8)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4, 5)])
def test_what_is_no_image_is_refused_as_one(shape: tuple[int, ...]) -> None:
    problem = f"or (channels, height, width), but got samples of shape {shape}. Leave `is_image` o"
    with pytest.raises(ConfigError, match=re.escape(problem)):
        Autoencoder(shape, is_image=True)


@pytest.mark.parametrize("shape", [(6,), (2, 4, 4), (5, 4, 2)])
def test_inputs_of_any_scale_are_made_again_on_it(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = Autoencoder(shape, latent=2, filters=[3], hidden=[4])
    inputs = torch.randn(200, *shape)
    near = network(inputs)
    network.scale.reset_running_stats()
    far = network(1000 * inputs + 500)
    torch.testing.assert_close(far, 1000 * near + 500, rtol=1e-3, atol=1)


def test_what_is_seen_first_decides_the_scale_at_once() -> None:
    network = Autoencoder((2,), latent=1)
    inputs = 7 + 3 * torch.randn(1000, 2)
    network.encode(inputs)
    torch.testing.assert_close(network.scale.running_mean, inputs.mean(0))
    torch.testing.assert_close(network.scale.running_var, inputs.var(0))
    zeros = torch.zeros(1, 2, 1)
    torch.testing.assert_close(network.scale.undo(zeros)[0, :, 0], inputs.mean(0))

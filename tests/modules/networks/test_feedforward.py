import re

import pytest
import torch
from torch import Tensor, nn

from leyden.errors import ConfigError
from leyden.modules import CNN, MLP


def count(network: nn.Module, layer: type[nn.Module]) -> int:
    return sum(isinstance(module, layer) for module in network.modules())


@pytest.mark.parametrize(
    "shape",
    [
        (8, 8),
        (1, 8, 8),
        (3, 8, 8),
        (8, 8, 3),
        (8, 8, 1),
        (7, 9),
        (1, 5, 31),
        (2, 2),
        (3, 2, 2),
        (1, 1),
    ],
)
@pytest.mark.parametrize("batch", [1, 5])
def test_cnn_takes_images_of_any_shape(shape: tuple[int, ...], batch: int) -> None:
    network = CNN(shape, 4, filters=[3, 5])
    network.eval()
    assert network(torch.randn(batch, *shape)).shape == (batch, 4)


@pytest.mark.parametrize("shape", [(8, 8), (3, 7, 9), (9, 7, 3), (2, 2)])
def test_every_weight_of_a_cnn_is_trained(shape: tuple[int, ...]) -> None:
    network = CNN(shape, 4, filters=[3, 5], dropout=0)
    network(torch.randn(6, *shape)).square().sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


@pytest.mark.parametrize(
    ("shape", "pools"),
    [((2, 2), 0), ((3, 50), 0), ((4, 4), 1), ((7, 7), 1), ((8, 9), 2), ((100, 100), 3)],
)
def test_cnn_pools_while_the_image_is_at_least_4_wide_and_high(
    shape: tuple[int, int], pools: int
) -> None:
    assert count(CNN(shape, 2, filters=[2, 2, 2]), nn.MaxPool2d) == pools


def test_every_stage_of_a_cnn_is_two_convolutions() -> None:
    network = CNN((3, 8, 8), 2, filters=[6, 7])
    sizes = [(m.in_channels, m.out_channels) for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert sizes == [(3, 6), (6, 6), (6, 7), (7, 7)]


def twins(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[CNN, CNN]:
    networks = CNN(one, 4, filters=[3]), CNN(other, 4, filters=[3])
    networks[1].load_state_dict(networks[0].state_dict())
    return networks


def test_cnn_finds_the_channels_first_or_last() -> None:
    first, last = twins((3, 8, 6), (8, 6, 3))
    images = torch.randn(5, 3, 8, 6)
    first.eval(), last.eval()
    assert torch.equal(first(images), last(images.movedim(1, -1)))


def test_cnn_needs_no_channels() -> None:
    with_one, without = twins((1, 8, 6), (8, 6))
    images = torch.randn(5, 8, 6)
    with_one.eval(), without.eval()
    assert torch.equal(with_one(images[:, None]), without(images))


@pytest.mark.parametrize("shape", [(5,), (), (2, 3, 4, 5)])
def test_cnn_refuses_what_is_no_image(shape: tuple[int, ...]) -> None:
    problem = (
        "Expected samples of shape (height, width) or (channels, height, width) for a CNN,"
        f" but got {shape}. Use model=mlp, or reshape the shards."
    )
    with pytest.raises(ConfigError, match=re.escape(problem)):
        CNN(shape, 4)


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("batch", [1, 3])
def test_mlp_takes_samples_of_any_shape(shape: tuple[int, ...], batch: int) -> None:
    network = MLP(shape, 4, hidden=[6])
    for mode in (True, False):
        network.train(mode)
        assert network(torch.randn(batch, *shape)).shape == (batch, 4)


def test_mlp_has_the_layers_that_are_asked_for() -> None:
    network = MLP((2, 3), 4, hidden=[7, 5])
    sizes = [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]
    assert sizes == [(6, 7), (7, 5), (5, 4)]
    assert count(MLP((2, 3), 4, hidden=[]), nn.Linear) == 1


@pytest.mark.parametrize("network", [CNN((4, 4), 2, filters=[3]), MLP((4, 4), 2, hidden=[3])])
def test_inputs_are_standardised(network: nn.Module) -> None:
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0
    inputs = torch.randn(50, 4, 4)
    network.train()
    near, far = network(inputs), network(1000 * inputs + 500)
    assert torch.allclose(near, far, atol=1e-2)


def first_layer(network: MLP) -> nn.BatchNorm1d:
    layer = network.layers[1]
    assert isinstance(layer, nn.BatchNorm1d)
    return layer


def test_a_sample_alone_is_standardised_by_those_before_it() -> None:
    layer = first_layer(MLP((2,), 1))
    layer(Tensor([[0.0, 10.0], [4.0, 10.0]]))  # means 2 and 10, variances 8 and 0
    means, variances = layer.running_mean, layer.running_var
    assert means is not None
    assert variances is not None
    assert torch.allclose(means, Tensor([0.2, 1.0]))  # a tenth of the way from 0
    assert torch.allclose(variances, Tensor([1.7, 0.9]))  # a tenth of the way from 1
    found = layer(Tensor([[0.2, 1.0 + 0.9**0.5]]))
    assert torch.allclose(found, Tensor([[0.0, 1.0]]), atol=1e-4)
    assert torch.allclose(means, Tensor([0.2, 1.0]))  # and is not counted among them

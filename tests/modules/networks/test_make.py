import re
from functools import partial
from typing import Any

import pytest
from torch import nn

from leyden.errors import ConfigError
from leyden.modules.networks import CNN, NETWORKS, make_network

SHAPES = {"image": [1, 8, 8], "meta": [3]}


class Noting(nn.Module):
    """Notes what it was called with."""

    def __init__(self, *sizes: Any, **settings: Any) -> None:
        super().__init__()
        self.noted = (sizes, settings)


@pytest.mark.parametrize(
    "recipe",
    [
        {"type": f"{__name__}.Noting", "width": 2},
        partial(Noting, width=2),
        lambda *sizes: Noting(*sizes, width=2),
    ],
)
def test_a_network_is_called_with_the_sizes(recipe: Any) -> None:
    made = make_network(recipe, {}, [4, 5], 6)
    assert isinstance(made, Noting)
    assert made.noted == (((4, 5), 6), {"width": 2})


def test_with_several_inputs_it_is_called_with_a_dictionary() -> None:
    made = make_network(Noting, NETWORKS, SHAPES)
    assert isinstance(made, Noting)
    assert made.noted == (({"image": (1, 8, 8), "meta": (3,)},), {})


def test_a_finished_network_is_left_as_it_is() -> None:
    network = nn.Linear(2, 3)
    assert make_network(network, NETWORKS, SHAPES, 3) is network


def test_a_network_is_known_by_its_name() -> None:
    assert isinstance(make_network("cnn", NETWORKS, (8, 8), 3), CNN)


@pytest.mark.parametrize("recipe", ["cnn", {"type": "cnn", "filters": [3]}])
def test_the_small_networks_refuse_several_inputs(recipe: Any) -> None:
    problem = "one array of inputs for network=cnn, but the data has image, meta. Pass a network"
    with pytest.raises(ConfigError, match=re.escape(problem)):
        make_network(recipe, NETWORKS, SHAPES, 3)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"hidden": [-3]}, "negative dimension -3"), ({"dropout": 2}, "between 0 and 1, but got 2")],
)
def test_settings_that_torch_refuses_are_a_slip(settings: dict[str, Any], reason: str) -> None:
    expected = rf"arguments that mlp takes, but got {re.escape(str(settings))}: .*{reason}"
    with pytest.raises(ConfigError, match=expected):
        make_network({"type": "mlp", **settings}, NETWORKS, (4,), 3)


def refusing(*_sizes: object) -> nn.Module:
    raise RuntimeError("no more memory")


def test_what_a_network_of_ones_own_raises_is_left_as_it_is() -> None:
    with pytest.raises(RuntimeError, match=r"^no more memory$"):
        make_network({"type": f"{__name__}.refusing"}, NETWORKS, (4,), 3)

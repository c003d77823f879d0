"""From the recipe of a network to the network."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from leyden.errors import ConfigError
from leyden.modules.networks.autoencoder import Autoencoder
from leyden.modules.networks.feedforward import CNN, MLP
from leyden.modules.networks.recurrent import LSTM
from leyden.recipes import Recipe, build

__all__ = ["AUTOENCODERS", "NETWORKS", "make_network"]

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {"cnn": CNN, "lstm": LSTM, "mlp": MLP}
"""The networks that have a short name, and are called with the input shape and the output size."""

AUTOENCODERS: Mapping[str, Callable[..., nn.Module]] = {"autoencoder": Autoencoder}
"""The networks that have a short name, and are called with the input shape alone."""


def make_network(
    recipe: Recipe | nn.Module,
    known: Mapping[str, Callable[..., nn.Module]],
    input_shape: Sequence[int] | Mapping[str, Sequence[int]],
    *sizes: int,
) -> nn.Module:
    """Make a network of the sizes of the data.

    Args:
        recipe: What to make; a finished network is left as it is.
        known: The networks that have a short name; they take one array of inputs.
        input_shape: Shape of one sample, or shapes by the names of several inputs. What the recipe
            names is called with it.
        sizes: Other sizes that it is called with, after the input shape.

    Raises:
        ConfigError: If the recipe does not fit.

    Example:
        >>> make_network("tiny", {"tiny": lambda shape, size: nn.Linear(*shape, size)}, [2], 3)
        Linear(in_features=2, out_features=3, bias=True)
    """
    if isinstance(recipe, nn.Module):
        return recipe
    if not isinstance(input_shape, Mapping):
        return _build(recipe, known, tuple(input_shape), *sizes)
    name = recipe.get("type") if isinstance(recipe, Mapping) else recipe
    if name in known:
        problem = f"Expected one array of inputs for network={name}"
        remedy = "Pass a network of your own, which is called with a dictionary of shapes."
        raise ConfigError(f"{problem}, but the data has {', '.join(input_shape)}. {remedy}")
    shapes = {name: tuple(shape) for name, shape in input_shape.items()}
    return _build(recipe, known, shapes, *sizes)


def _build(recipe: Recipe, known: Mapping[str, Any], *sizes: Any) -> nn.Module:
    made: nn.Module = build(recipe, known, *sizes, what="network")
    return made

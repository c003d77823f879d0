"""Weights, gradients and outputs of chosen layers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from leyden.errors import ConfigError, suggest
from leyden.introspect.look import watching
from leyden.introspect.step import call, first_tensor
from leyden.lifecycle import quietly

__all__ = ["LayerArrays", "Patterns"]

Patterns = str | Sequence[str]
"""Names, in which ``*`` stands for any part."""


@dataclass(frozen=True, slots=True)
class LayerArrays:
    """Which arrays of a model are looked at.

    Args:
        weights: Names of parameters.
        gradients: Names of parameters whose gradients are meant.
        outputs: Names of layers.
        probe: What the model is called with for its outputs: a tensor, or its arguments in a tuple
            or a dictionary.

    Raises:
        ConfigError: If nothing is asked for, or outputs without a probe.
    """

    weights: Patterns = ()
    gradients: Patterns = ()
    outputs: Patterns = ()
    probe: Any = None

    def __post_init__(self) -> None:
        if not (self.weights or self.gradients or self.outputs):
            raise ConfigError(
                "Expected one of `weights`, `gradients` and `outputs` to name layers, "
                'but got none. Pass `weights="*"` for all.'
            )
        if self.outputs and self.probe is None:
            raise ConfigError(
                "Expected `probe` to be what the model is called with for `outputs`, but got None."
            )

    def collect(self, module: nn.Module) -> dict[str, Tensor]:
        """Copy the arrays to main memory.

        Args:
            module: The model, which is left as it is.

        Returns:
            Arrays by names such as ``weights/layer.bias``, of several that a layer returns the
            first; a parameter without gradient has none.

        Raises:
            ConfigError: If there is no such layer.
        """
        parameters = dict(module.named_parameters())
        arrays = dict[str, Tensor]()
        for name in _match(self.weights, parameters):
            arrays[f"weights/{name}"] = parameters[name]
        for name in _match(self.gradients, parameters):
            gradient = parameters[name].grad
            if gradient is not None:
                arrays[f"gradients/{name}"] = gradient
        if self.outputs:
            arrays |= _run(module, _match(self.outputs, dict(module.named_modules())), self.probe)
        return {name: array.detach().cpu().clone() for name, array in arrays.items()}


def _match(patterns: Patterns, known: Mapping[str, Any]) -> list[str]:
    names = [patterns] if isinstance(patterns, str) else patterns
    found: dict[str, None] = {}
    for pattern in names:
        hits = [name for name in known if name and fnmatchcase(name, pattern)]
        if not hits:
            problem = f"Expected `{pattern}` to name a part of the model, but none does."
            raise ConfigError(f"{problem} {suggest(pattern, filter(None, known))}")
        found |= dict.fromkeys(hits)
    return list(found)


def _run(module: nn.Module, names: Iterable[str], probe: Any) -> dict[str, Tensor]:
    layers, outputs = dict(module.named_modules()), dict[str, Tensor]()

    def keep(name: str, _layer: nn.Module, output: Any) -> None:
        first = first_tensor(output)
        if first is not None:
            outputs[f"outputs/{name}"] = first

    with watching({name: layers[name] for name in names}, keep), quietly(module):
        call(module, probe)
    return outputs

"""Which layers of a model are meant."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from torch import nn
from torch.nn.parameter import UninitializedParameter

from leyden.errors import ConfigError, suggest

__all__ = ["ROOT", "Layers", "find_layers", "find_parameters", "layer_of"]

Layers: TypeAlias = str | int | Sequence[str | int]
"""Layers, by name, by part of a name, by pattern or by index.

``"conv"`` is the part of the model of that name, or else the first one whose name contains it; a
part stands for all that is in it. ``"*.bias"``, a pattern, is everything it fits. ``-1`` is the
last layer. A sequence of these is all of them; ``"*"`` is everything.
"""

ROOT = "(root)"
"""What a model is called that is a layer itself."""


def find_layers(model: nn.Module, which: Layers = "*") -> dict[str, nn.Module]:
    """Find layers, which are the parts without parts or with parameters of their own.

    Args:
        model: The model.
        which: The layers; a name may also be that of a part with layers in it.

    Returns:
        Parts of the model by name, in the order of ``named_modules``, or in the order asked for.

    Raises:
        ConfigError: If there is no such layer.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Linear(2, 1)))
        >>> list(find_layers(model))
        ['0', '1.0', '1.1']
        >>> list(find_layers(model, [-1, "1"]))
        ['1.1', '1']
    """
    parts = {name or ROOT: part for name, part in model.named_modules()}
    layers = {name: part for name, part in parts.items() if _is_layer(part)}
    found: dict[str, nn.Module] = {}
    for selector in _selectors(which):
        if isinstance(selector, int):
            names = [_at(layers, selector)]
        elif _is_pattern(selector):
            names = [name for name in layers if fnmatchcase(name, selector)]
        else:
            names = _first(selector, parts)
        _check(names or selector == "*", selector, layers)
        found |= {name: parts[name] for name in names}
    return found


def find_parameters(model: nn.Module, which: Layers = "*") -> dict[str, nn.Parameter]:
    """Find the parameters of layers.

    Args:
        model: The model.
        which: The layers, or names of parameters or patterns for them.

    Returns:
        Parameters by name, those left out that have no shape yet.

    Raises:
        ConfigError: If there is no such layer or parameter.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
        >>> list(find_parameters(model, ["*bias", 0]))
        ['0.bias', '2.bias', '0.weight']
    """
    known = {
        name: one
        for name, one in model.named_parameters()
        if UninitializedParameter not in type(one).__mro__  # isinstance takes a while with these
    }
    if which == "*":  # the usual case, and the quick one
        return known
    parts = {name or ROOT: part for name, part in model.named_modules()}
    layers = {name: part for name, part in parts.items() if _is_layer(part)}
    found: dict[str, nn.Parameter] = {}
    for selector in _selectors(which):
        part: Sequence[str] = ()
        names: Sequence[str] = ()
        if isinstance(selector, int):
            part = [_at(layers, selector)]
        elif _is_pattern(selector):
            names = [name for name in known if fnmatchcase(name, selector)]
        elif selector in known:
            names = [selector]
        else:
            part = _first(selector, parts)
            names = [] if part else _first(selector, known)
        _check(part or names or selector == "*", selector, [*layers, *known])
        found |= {name: known[name] for name in [*names, *_inside(part, known)]}
    return found


def layer_of(name: str) -> str:
    """Name the layer that a parameter belongs to.

    Args:
        name: Of the parameter.

    Example:
        >>> layer_of("encoder.0.weight"), layer_of("weight")
        ('encoder.0', '(root)')
    """
    return name.rpartition(".")[0] or ROOT


def _is_layer(part: nn.Module) -> bool:
    has_parts = next(part.children(), None) is not None
    return not has_parts or next(part.parameters(recurse=False), None) is not None


def _selectors(which: Layers) -> Sequence[str | int]:
    selectors: Any = [which] if isinstance(which, str | int) else which
    is_known = isinstance(selectors, Sequence) and all(
        isinstance(one, str | int) for one in selectors
    )
    if not is_known or "" in selectors:
        problem = "Expected `layers` to be names, patterns or indices of layers"
        raise ConfigError(f"{problem}, but got {which!r}. Pass '*' for all.")
    found: Sequence[str | int] = selectors
    return found


def _is_pattern(selector: str) -> bool:
    return any(sign in selector for sign in "*?[")


def _at(layers: Mapping[str, nn.Module], index: int) -> str:
    if not -len(layers) <= index < len(layers):
        problem = f"Expected `layers` to be indices below {len(layers)}, the number of layers"
        raise ConfigError(f"{problem}, but got {index}.")
    return list(layers)[index]


def _first(name: str, known: Iterable[str]) -> list[str]:
    """Find a name, or else the first one that contains it."""
    names = list(known)
    return [name] if name in names else [one for one in names if name in one][:1]


def _inside(part: Sequence[str], names: Iterable[str]) -> list[str]:
    """List the names of what is in a part, if there is one."""
    prefixes = tuple("" if name == ROOT else f"{name}." for name in part)
    return [name for name in names if name.startswith(prefixes)]


def _check(is_found: object, selector: str | int, known: Iterable[str]) -> None:
    if not is_found:
        problem = f"Expected `layers` to name layers of the model, but got {selector!r}."
        raise ConfigError(f"{problem} {suggest(str(selector), known)}")

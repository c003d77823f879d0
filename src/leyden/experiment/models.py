"""From what a model is called to the module that is trained."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from types import MappingProxyType
from typing import Any

from lightning import LightningModule
from torch import nn

from leyden.errors import ConfigError
from leyden.experiment.specs import as_recipe
from leyden.modules import AutoencoderModule, ClassifierModule, RegressorModule, SupervisedModule
from leyden.modules.networks import AUTOENCODERS, NETWORKS
from leyden.recipes import build, import_named

__all__ = ["MODELS", "class_name", "describe_module", "find_class", "make_module", "remake_module"]

MODELS: Mapping[str, Callable[..., SupervisedModule]] = MappingProxyType(
    {"classifier": ClassifierModule, "regressor": RegressorModule}
)
"""The modules that have a short name, and take their network as an argument."""

_MODULES: Mapping[str, type[SupervisedModule]] = {
    "autoencoder": AutoencoderModule,
    "classifier": ClassifierModule,
    "regressor": RegressorModule,
}


def make_module(model: Any, data: Any) -> LightningModule:
    """Make a module for data.

    Args:
        model: See ``Model``.
        data: A data module that is loaded.

    Raises:
        ConfigError: If it is not known, arguments do not fit, or it is for inputs of another shape.
    """
    if isinstance(model, nn.Module):
        kind: Callable[..., SupervisedModule] = _kind_for(data)
        return kind(network=model)
    settings = _settings(model)
    name = settings.pop("type")
    settings |= _agreed_shape(settings, data)
    if name in MODELS:
        return _checked(build({"type": name, **settings}, MODELS, what="model"))
    if name in AUTOENCODERS:
        return _with_network(AutoencoderModule, name, settings)
    if name not in NETWORKS and issubclass(find_class(name), LightningModule):
        return _checked(build({"type": name, **settings}, {}, what="model"))
    return _with_network(_kind_for(data), name, settings)


def _settings(model: Any) -> dict[str, Any]:
    if model is None:
        raise ConfigError("Expected a model, but none is known. Pass `model`.")
    settings = as_recipe(model) if isinstance(model, Mapping) else {"type": model}
    if not isinstance(settings.get("type"), str):
        problem = f"Expected `model` to have a `type`, but got {model!r}."
        raise ConfigError(f"{problem} Known: {', '.join(_known())}.")
    return settings


def _known() -> Sequence[str]:
    return sorted({*MODELS, *AUTOENCODERS, *NETWORKS})


def find_class(path: str) -> type:
    """Import a class.

    Args:
        path: Its import path, ``package.module.Class``.

    Raises:
        ConfigError: If there is no such class.
    """
    found = import_named(path, _known(), "model")
    if not isinstance(found, type):
        problem = f"Expected `model` to be of a known type or an import path, but got {path!r}."
        raise ConfigError(f"{problem} It is no class.")
    return found


def _kind_for(data: Any) -> type[SupervisedModule]:
    """Choose what to learn: numbers where labels are such, and else classes."""
    has_numbers = (
        getattr(data, "label_shape", None) is not None
        and getattr(data, "num_classes", None) is None
    )
    return RegressorModule if has_numbers else ClassifierModule


def _with_network(
    kind: type[SupervisedModule], name: str, settings: Mapping[str, Any]
) -> SupervisedModule:
    """Give a module its arguments, and its network the others."""
    known = signature(kind).parameters
    own = {key: value for key, value in settings.items() if key in known}
    network = {key: value for key, value in settings.items() if key not in known}
    made: SupervisedModule = kind(network={"type": name, **network}, **own)
    return made


def _agreed_shape(settings: Mapping[str, Any], data: Any) -> dict[str, Any]:
    """Take ``input_shape`` for that of the data, also with channels last, and refuse others."""
    told, found = settings.get("input_shape"), getattr(data, "sample_shape", None)
    if told is None or not isinstance(found, tuple):
        return {}
    told = tuple(told) if isinstance(told, Sequence) else (told,)
    if found not in (told, (*told[-1:], *told[:-1])):
        problem = "Expected `input_shape` of the model to be that of the data, but they differ."
        remedy = "Leave it out, or change the preprocessors."
        raise ConfigError(f"{problem}\nmodel: {told}\ndata: {found}\n{remedy}")
    return {"input_shape": list(found)}


def _checked(made: Any) -> LightningModule:
    if not isinstance(made, LightningModule):
        problem = "Expected `model` to make a LightningModule"
        raise ConfigError(f"{problem}, but got {type(made).__qualname__}.")
    return made


def class_name(module: LightningModule) -> str:
    """Name the class of a module: shortly, or by its import path."""
    kind = type(module)
    short = [name for name, known in _MODULES.items() if known is kind]
    return short[0] if short else f"{kind.__module__}.{kind.__qualname__}"


def describe_module(module: LightningModule, model: Any) -> dict[str, Any]:
    """Write down how a module is made again, without data.

    Args:
        module: The module.
        model: What it was made of; ``None`` if that is not known.

    Returns:
        Its ``type``, and its ``arguments``; these are ``None`` if it is made of objects.
    """
    name = class_name(module)
    arguments: dict[str, Any] | None = None
    if "<locals>" not in name and not name.startswith("__main__."):
        taken, known = signature(type(module)).parameters, dict(module.hparams)
        if all(argument in known for argument in taken):
            arguments = {argument: known[argument] for argument in taken}
        elif model is not None and not isinstance(module, SupervisedModule):
            arguments = _settings(model)
            arguments.pop("type")
    return {"type": name, "arguments": arguments}


def remake_module(described: Mapping[str, Any]) -> LightningModule:
    """Make a module again.

    Args:
        described: What ``describe_module`` returned, with arguments.

    Raises:
        ConfigError: If arguments do not fit.
    """
    recipe = {**described["arguments"], "type": described["type"]}
    return _checked(build(recipe, _MODULES, what="model"))

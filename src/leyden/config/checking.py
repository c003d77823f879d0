"""Refuse a configuration with a wrong value before anything is made from it."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from torch import nn, zeros

from leyden.config.annotations import describe, fits, parameters_of
from leyden.config.sources import Sources
from leyden.data.augment import AUGMENTORS
from leyden.data.preprocess import PREPROCESSORS
from leyden.errors import ConfigError, LeydenError, suggest
from leyden.modules.networks import AUTOENCODERS, NETWORKS
from leyden.modules.objectives import LOSSES
from leyden.modules.optimization import OPTIMIZERS, configure
from leyden.modules.scheduling import SCHEDULERS

__all__ = ["check_config"]

_OWN: Mapping[str, Any] = {
    "name": str | None,
    "seed": int,
    "test": bool,
    "run_dir": str,
    "runs_dir": str,
    "resume": str | None,
    "retrain": bool,
}
"""What the keys of the main file hold that are no sections."""

_KNOWN: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "network": {**NETWORKS, **AUTOENCODERS},
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "scheduler": SCHEDULERS,
    "preprocessors": PREPROCESSORS,
    "augmentors": AUGMENTORS,
}
"""What can be named by ``type``, by the key under which it is."""

_AUTO = "auto"  # what a schedule may say instead of a number
_NO_ARGUMENT = "default"  # of the data, which is for us


def check_config(config: Mapping[str, Any], sources: Sources) -> None:
    """Compare every value with what the signature says of the class that it is for.

    That is the class under ``_target_`` or ``type``, whoever wrote it, as far as it has
    annotations. What leyden's own data, module and optimizers say of ranges is asked of them.

    Args:
        config: A whole configuration, resolved, in plain containers.
        sources: Where its values come from.

    Raises:
        ConfigError: At the first wrong value, with its key, what is expected, and where it is from.
    """
    first = ("optimizer", "scheduler")  # to which the model's refer
    try:
        _check_own(config)
        for key in (*(key for key in first if key in config), *config):
            _check(config[key], key)
        _try_out(config)
    except _WrongValueError as wrong:
        found = sources.find(wrong.key)
        origin = "" if found is None else f" It comes from {found}."
        raise ConfigError(f"{wrong}{origin}") from None


def _check_own(config: Mapping[str, Any]) -> None:
    for key, kind in _OWN.items():
        if key in config and not fits(config[key], kind):
            _refuse(key, kind, config[key])
    if config.get("seed", 0) < 0:
        problem = f"Expected `seed` to be a whole number from 0, but got {config['seed']!r}."
        raise _WrongValueError("seed", problem)


class _WrongValueError(Exception):
    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def _refuse(key: str, kind: Any, value: Any) -> None:
    near = suggest(value, _choices(kind)) if isinstance(value, str) and _choices(kind) else ""
    hint = f" {near.partition('?')[0]}?" if near.startswith("Did") else ""
    problem = f"Expected `{key}` to be {describe(kind)}, but got {value!r}.{hint}"
    raise _WrongValueError(key, problem)


def _choices(kind: Any) -> list[str]:
    parts = getattr(kind, "__args__", ())
    return [
        name for part in parts for name in ([part] if isinstance(part, str) else _choices(part))
    ]


def _check(value: Any, key: str) -> None:
    """Check a section, and all that are in it."""
    if isinstance(value, list):
        for index, child in enumerate(value):
            _check(child, f"{key}[{index}]")
    if not isinstance(value, Mapping):
        return
    if "_target_" in value:
        _check_target(value, key)
    elif isinstance(value.get("type"), str):
        _check_recipe(value, key)
    for name, child in value.items():
        _check(child, f"{key}.{name}")


def _check_target(section: Mapping[str, Any], key: str) -> None:
    target = _find(section["_target_"])
    if target is None:
        problem = (
            f"Expected `{key}._target_` to be an import path, but got {section['_target_']!r}."
        )
        raise _WrongValueError(f"{key}._target_", f"{problem} It cannot be imported.")
    parameters = parameters_of(target)
    arguments = {name: value for name, value in section.items() if not str(name).startswith("_")}
    if key == "data":
        arguments.pop(_NO_ARGUMENT, None)
        if arguments.get("path", "") is None:  # default data
            del arguments["path"]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    for name in arguments:
        if parameters and not takes_any and name not in parameters:
            problem = (
                f"Expected `{key}` to have arguments of {section['_target_']}, but got {name!r}."
            )
            raise _WrongValueError(f"{key}.{name}", f"{problem} {suggest(name, parameters)}")
    _check_arguments(arguments, parameters, key)


def _check_recipe(recipe: Mapping[str, Any], key: str) -> None:
    """Check a recipe; names that are not known are answered by whoever makes the object."""
    factory = _factory_of(recipe["type"], key.rpartition(".")[2].partition("[")[0])
    if factory is not None:
        given = {name: value for name, value in recipe.items() if value != _AUTO}
        _check_arguments(given, parameters_of(factory), key)


def _factory_of(name: str, key: str) -> Any:
    known = _KNOWN.get(key, {})
    if name in known:
        return known[name]
    # Short for what is deeper in Kornia: Hydra, which looks for it here, would log an error.
    is_short = key == "augmentors" and name.rpartition(".")[0] == "kornia"
    return None if is_short else _find(name)


def _check_arguments(arguments: Mapping[str, Any], parameters: Mapping[str, Any], key: str) -> None:
    for name, value in arguments.items():
        parameter = parameters.get(name)
        if parameter is None or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        is_default = type(value) is type(parameter.default) and value == parameter.default
        if not is_default and not fits(value, parameter.annotation):
            _refuse(f"{key}.{name}", parameter.annotation, value)


def _find(path: str) -> Any:
    """Import what a path names; ``None`` if there is nothing that can be called."""
    if "." not in path:
        return None
    try:
        found = get_object(path)
    except Exception:  # noqa: BLE001 - of whatever the import of a user's module raises
        return None
    return found if callable(found) else None


def _try_out(config: Mapping[str, Any]) -> None:
    """Make what costs nothing to make and writes nothing, to hear what it says of ranges."""
    data, model, optimizer = (config.get(key) or {} for key in ("data", "model", "optimizer"))
    if _is_ours(data):
        _try("data", data, lambda: _make(data, path=data.get("path") or Path("data")))
    if _is_ours(model):
        _try("model", model, lambda: _make(model))
    if isinstance(optimizer, Mapping) and optimizer.get("type") in OPTIMIZERS:
        one = nn.Parameter(zeros(1, 1))
        _try("optimizer", optimizer, lambda: configure([one], optimizer, None))


def _is_ours(section: Any) -> bool:
    return isinstance(section, Mapping) and str(section.get("_target_")).startswith("leyden.")


def _make(section: Mapping[str, Any], **changed: Any) -> None:
    arguments = {**section, **changed}
    arguments.pop(_NO_ARGUMENT, None)
    instantiate(arguments, _convert_="all")


def _try(key: str, section: Mapping[str, Any], make: Callable[[], object]) -> None:
    try:
        make()
    except InstantiationException as error:
        if not isinstance(error.__cause__, LeydenError):
            raise
        _refuse_as(str(error.__cause__), key, section)
    except LeydenError as error:
        _refuse_as(str(error), key, section)


def _refuse_as(message: str, key: str, section: Mapping[str, Any]) -> None:
    """Say it with the key that the configuration has for what the message names."""
    name = next((name for name in re.findall(r"`(\w+)`", message) if name in section), None)
    if name is None:
        raise _WrongValueError(key, message)
    raise _WrongValueError(f"{key}.{name}", message.replace(f"`{name}`", f"`{key}.{name}`", 1))

"""One clear line for a slip in a configuration or on the command line."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigTypeError, OmegaConfBaseException

from leyden.errors import LeydenError, suggest

__all__ = ["dotted_keys", "explain", "explain_unknown_key", "known_keys"]

_MERGING = "Error merging override "  # how Hydra begins
_QUOTED_KEY = re.compile(r"""[{,]\s*(['"])[^'"]*\1\s*:""")


def explain(
    error: Exception, conf_dir: Path, config_name: str, own_dir: Path | None = None
) -> str | None:
    """Turn an exception into a line that a user can act on.

    Args:
        error: What was raised while a configuration was composed or objects were made from it.
        conf_dir: The folder of the configuration.
        config_name: Name of the main file, without extension.
        own_dir: Another folder of configuration, the user's.

    Returns:
        The line; ``None`` if the exception is no user's slip but a bug.
    """
    if isinstance(error, ConfigCompositionException) and not isinstance(
        error, MissingConfigException
    ):
        return _explain_key(error, lambda: known_keys(conf_dir, config_name, own_dir))
    for kind, explain_kind in _EXPLANATIONS.items():
        if isinstance(error, kind):
            return explain_kind(error)
    return None


def _explain_target(error: InstantiationException) -> str:
    cause = error.__cause__
    if isinstance(cause, LeydenError):
        return _explain_ours(cause)
    _, _, key = str(error).partition("full_key: ")
    where = f" in `{key.strip()}`" if key else ""
    return f"Expected arguments that fit{where}, but got: {_first_line(cause or error)}"


def _explain_option(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    if not group:
        return f"Expected a configuration file, but {option!r} does not exist."
    problem = f"Expected `{group}` to be one of its options, but got {option!r}."
    return f"{problem} {suggest(option, error.options or [])}"


def _explain_override(error: OverrideParseException) -> str:
    problem = f"Expected an override key=value, but got {error.override!r}."
    if _QUOTED_KEY.search(error.override or ""):
        return f"{problem} Keys in braces have no quotes."
    return f"{problem} Values with special characters need quotes."


def _explain_ours(error: LeydenError) -> str:
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


def _explain_other(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:  # of a function that a configuration calls
        if isinstance(cause, LeydenError):
            return _explain_ours(cause)
        cause = cause.__cause__ or cause.__context__
    return f"{_first_line(error)} (in the configuration)"


def _explain_key(error: ConfigCompositionException, list_keys: Callable[[], list[str]]) -> str:
    match = re.search(r"Could not (?:override|delete|append)[^']*'(?P<key>[^'@]+)", str(error))
    if match is None:
        return _explain_merging(error)
    return explain_unknown_key(match["key"], list_keys())


def _explain_merging(error: ConfigCompositionException) -> str:
    line = _first_line(error)
    if not line.startswith(_MERGING) or not isinstance(error.__cause__, ConfigTypeError):
        return line
    override = line.removeprefix(_MERGING)
    key, _, value = override.lstrip("+").partition("=")
    problem = f"Expected `{key}` to be a list or a section, whichever it was, but got {value}."
    return f"{problem} To replace it, write '~{key}' '+{key}={value}'."


def explain_unknown_key(key: str, known: Sequence[str]) -> str:
    """Say that there is no such key, and which was probably meant.

    Args:
        key: What was written.
        known: Every key there is, dotted.

    Returns:
        The line.
    """
    parent = key.rpartition(".")[0]
    near = get_close_matches(key, known, n=1)
    beside = [name for name in known if name.rpartition(".")[0] == parent]
    top = [name for name in known if "." not in name]
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(beside or top)}."
    problem = f"Expected a key of the configuration, but got {key!r}."
    return f"{problem} {hint} To add a new one, write +{key}=..."


def known_keys(conf_dir: Path, config_name: str, own_dir: Path | None = None) -> list[str]:
    """List every key and group of a configuration without overrides, dotted.

    Args:
        conf_dir: The folder of the configuration.
        config_name: Name of the main file, without extension.
        own_dir: Another folder of configuration, in which the main file may be.
    """
    folders = [conf_dir] if own_dir is None else [conf_dir, own_dir.absolute()]
    (first, *others) = sorted(
        folders, key=lambda folder: not (folder / f"{config_name}.yaml").is_file()
    )
    paths = ",".join(f"'file://{folder}'" for folder in others)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(first), version_base="1.3"):
        config = compose(config_name, [f"hydra.searchpath=[{paths}]"], return_hydra_config=True)
    groups = [path.name for folder in folders for path in folder.iterdir() if path.is_dir()]
    return sorted({*dotted_keys(config), *groups})


def dotted_keys(config: DictConfig) -> list[str]:
    """List every key that can be overridden, such as ``trainer.max_epochs``.

    Args:
        config: The whole configuration.
    """
    return list(_dotted(OmegaConf.to_container(config)))


def _dotted(section: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(section, Mapping):
        for name, child in section.items():
            if not str(name).startswith("_"):  # _target_ is not for overriding by hand
                yield f"{prefix}{name}"
                yield from _dotted(child, f"{prefix}{name}.")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[: 2 if lines and lines[0].endswith(":") else 1]
    return " ".join(first) or type(error).__name__


_EXPLANATIONS: dict[type[Exception], Callable[[Any], str]] = {
    InstantiationException: _explain_target,
    MissingConfigException: _explain_option,
    OverrideParseException: _explain_override,
    LeydenError: _explain_ours,
    HydraException: _explain_other,
    OmegaConfBaseException: _explain_other,
}

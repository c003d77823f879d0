"""One clear line for a slip in a configuration or on the command line."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from leyden.errors import LeydenError, suggest

__all__ = ["explain"]

_OVERRIDE = re.compile(r"^[~+]*(?P<key>[^=@]+)")


def explain(error: Exception, conf_dir: Path, config_name: str) -> str | None:
    """Turn an exception into a line that a user can act on.

    Args:
        error: What was raised while a configuration was composed or objects were made from it.
        conf_dir: The folder of the configuration.
        config_name: Name of the main file, without extension.

    Returns:
        The line; ``None`` if the exception is no user's slip but a bug.
    """
    if isinstance(error, InstantiationException) and isinstance(error.__cause__, Exception):
        return _explain_target(error, error.__cause__)
    if isinstance(error, MissingConfigException):
        return _explain_option(error)
    if isinstance(error, OverrideParseException):
        problem = f"Expected an override key=value, but got {error.override!r}."
        return f"{problem} Values with special characters need quotes."
    if isinstance(error, ConfigCompositionException):
        return _explain_key(error, conf_dir, config_name)
    if isinstance(error, LeydenError):
        return "\n".join([str(error), *getattr(error, "__notes__", [])])
    if isinstance(error, HydraException | OmegaConfBaseException):
        return f"{_first_line(error)} (in the configuration)"
    return None


def _explain_target(error: InstantiationException, cause: Exception) -> str:
    if isinstance(cause, LeydenError):
        return str(cause)
    _, _, key = str(error).partition("full_key: ")
    where = f" in `{key.strip()}`" if key else ""
    return f"Expected arguments that fit{where}, but got: {_first_line(cause)}"


def _explain_option(error: MissingConfigException) -> str:
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    if not group:
        return f"Expected a configuration file, but {error.missing_cfg_file!r} does not exist."
    problem = f"Expected `{group}` to be one of its options, but got {option!r}."
    return f"{problem} {suggest(option, error.options or [])}"


def _explain_key(error: ConfigCompositionException, conf_dir: Path, config_name: str) -> str:
    match = re.search(r"Could not (?:override|delete|append)[^']*'(?P<key>[^'@]+)", str(error))
    if match is None:
        return _first_line(error)
    key = match["key"]
    known = _known_keys(conf_dir, config_name)
    parent = key.rpartition(".")[0]
    siblings = [name for name in known if name.rpartition(".")[0] == parent] or known
    problem = f"Expected a key of the configuration, but got {key!r}."
    return f"{problem} {suggest(key, siblings)} To add a new one, write +{key}=..."


def _known_keys(conf_dir: Path, config_name: str) -> Sequence[str]:
    """List every key and group of the default configuration, dotted."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir), version_base="1.3"):
        config = compose(config_name)
    groups = [path.name for path in conf_dir.iterdir() if path.is_dir()]
    return sorted({*_dotted(config), *groups})


def _dotted(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in config:
        yield f"{prefix}{name}"
        child = config._get_node(name)  # noqa: SLF001 - the only way that does not resolve it
        if isinstance(child, DictConfig) and not child._is_none():  # noqa: SLF001
            yield from _dotted(child, f"{prefix}{name}.")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__

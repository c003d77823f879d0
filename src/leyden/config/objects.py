"""From a configuration to the objects of a run."""

from collections.abc import Callable, Mapping
from itertools import chain, count
from pathlib import Path
from typing import Any

from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from leyden.data import AutoDataModule
from leyden.errors import ConfigError, suggest
from leyden.shards.digits import pack_digits
from leyden.shards.series import pack_series
from leyden.shards.tables import pack_breast_cancer, pack_diabetes

__all__ = ["DEFAULT_DATA", "build", "build_data", "build_group", "plain_config", "save_config"]

DEFAULT_DATA: Mapping[str, Callable[[Path], Path]] = {
    "breast_cancer": pack_breast_cancer,
    "diabetes": pack_diabetes,
    "digits": pack_digits,
    "timeseries": pack_series,
}
"""What packs data where no path is told, into ``data/<name>`` below the current directory."""


def build(config: DictConfig, key: str, **arguments: Any) -> Any:
    """Make the object under a key.

    Args:
        config: The whole configuration.
        key: The key; what it holds has a ``_target_``.
        arguments: Given in addition, instead of what the configuration says.

    Returns:
        The object.

    Raises:
        ConfigError: If there is nothing to make under the key.
    """
    section = _section(config, key)
    if "_target_" not in section:
        known = [str(name) for name in config]
        problem = f"Expected `{key}` to have a `_target_`, but it has none."
        raise ConfigError(f"{problem} {suggest(key, known)}")
    return instantiate(section, **arguments, _convert_="all")


def build_data(config: DictConfig) -> Any:
    """Make the data module; AutoData without a path packs default data first.

    Which data that is, the key ``default`` says; without it, it is the handwritten digits.

    Raises:
        ConfigError: If the path is empty, or there is no such default data.
    """
    data = _section(config, "data")
    if not issubclass(get_class(str(data.get("_target_"))), AutoDataModule):
        return build(config, "data")
    if data.path == "":
        problem = "Expected `data.path` to be a folder, but got an empty text."
        raise ConfigError(f"{problem} Leave it out to train on default data.")
    default = str(data.get("default", "digits"))
    if default not in DEFAULT_DATA:
        problem = f"Expected `data.default` to be the name of default data, but got {default!r}."
        raise ConfigError(f"{problem} {suggest(default, DEFAULT_DATA)}")
    path = DEFAULT_DATA[default](Path("data", default)) if data.path is None else Path(data.path)
    config = config.copy()
    with open_dict(config.data):
        config.data.pop("default", None)  # for us, not for the data module
    return build(config, "data", path=path)


def build_group(config: DictConfig, key: str) -> dict[str, Any]:
    """Make the objects of a group, such as the callbacks.

    Args:
        config: The whole configuration.
        key: The group's key; what it holds maps names to things with a ``_target_``.

    Returns:
        The objects by their names; those that are ``null`` are left out.
    """
    section = _section(config, key)
    return {str(name): build(section, str(name)) for name, item in section.items() if item}


def _section(config: DictConfig, key: str) -> DictConfig:
    section = config.get(key)
    if not isinstance(section, DictConfig):
        problem = f"Expected `{key}` to be a section of the configuration, but got {section!r}."
        raise ConfigError(f"{problem} {suggest(key, [str(name) for name in config])}")
    return section


def plain_config(config: DictConfig) -> dict[str, Any]:
    """Resolve a configuration.

    Args:
        config: The whole configuration.

    Returns:
        It as plain containers.
    """
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)  # noqa: S101 - a DictConfig becomes a dictionary
    return {str(key): value for key, value in plain.items()}


def save_config(config: DictConfig, path: Path) -> Path:
    """Write the configuration with everything resolved.

    Args:
        config: The whole configuration.
        path: The file to write; its folder is made. If it exists, ``-2`` and so on is added.

    Returns:
        The file that was written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    names = chain([path.stem], (f"{path.stem}-{number}" for number in count(2)))
    path = next(path.with_stem(name) for name in names if not path.with_stem(name).exists())
    plain = OmegaConf.create(plain_config(config))
    path.write_text(OmegaConf.to_yaml(plain), encoding="utf-8")
    return path

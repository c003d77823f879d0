"""When two runs have the same configuration, and the one that a run was started with."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from leyden.errors import ConfigError, ResumeError
from leyden.runs import RunDir, relocate

__all__ = [
    "RUN_DIR",
    "changes",
    "config_digest",
    "differences",
    "load_saved_config",
    "saved_run_dirs",
]

RUN_DIR = "<run_dir>"
"""Stands for the folder of a run where it makes no difference."""

_STARTING = ("run_dir", "resume", "retrain", "code_dir")  # how a run begins, not what it is
_SHOWN = 5  # differences in one line


def config_digest(config: Mapping[str, Any]) -> str:
    """Tell configurations apart, whatever folder their runs are in and however they were started.

    Args:
        config: A whole configuration, resolved, in plain containers.

    Returns:
        16 hexadecimal digits; equal for equal configurations.

    Example:
        >>> one = {"run_dir": "/a", "path": "/a/history.png", "resume": None, "seed": 0}
        >>> other = {"run_dir": "/b", "path": "/b/history.png", "resume": "auto", "seed": 0}
        >>> config_digest(one) == config_digest(other)
        True
    """
    text = json.dumps(_portable(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Find what two configurations disagree in, besides the folders of their runs.

    Args:
        old: A whole configuration, resolved, in plain containers.
        new: Another.

    Returns:
        By dotted key, the value of each; ``None`` where one of them has no such key.

    Example:
        >>> changes({"trainer": {"max_epochs": 2}}, {"trainer": {"max_epochs": 4}})
        {'trainer.max_epochs': (2, 4)}
    """
    before, after = _dotted(_portable(old)), _dotted(_portable(new))
    pairs = {key: (before.get(key), after.get(key)) for key in {**before, **after}}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """List what two configurations disagree in.

    Args:
        old: A whole configuration, resolved, in plain containers.
        new: Another.

    Returns:
        Texts ``key: old -> new``, at most a handful.

    Example:
        >>> differences({"trainer": {"max_epochs": 2}}, {"trainer": {"max_epochs": 4}})
        ['trainer.max_epochs: 2 -> 4']
    """
    texts = [f"{key}: {before} -> {after}" for key, (before, after) in changes(old, new).items()]
    more = len(texts) - _SHOWN
    return [*texts[:_SHOWN], f"and {more} more"] if more > 0 else texts


def load_saved_config(run: RunDir) -> DictConfig:
    """Read the configuration with which a run was last started.

    Args:
        run: The run; if its folder was moved, so are the paths in the configuration.

    Raises:
        ResumeError: If there is none, or it cannot be read.
    """
    paths = _saved(run)
    if not paths:
        raise ResumeError(
            f"Expected the configuration of the run in {str(run.config_dir)!r}, but there is none. "
            "Use `leyden train ... resume=RUN`."
        )
    plain = _load(paths[-1])
    plain = relocate(plain, plain.get("run_dir", run.path), run.path.absolute())
    return OmegaConf.create({**plain, "run_dir": str(run.path.absolute())})


def saved_run_dirs(run: RunDir) -> list[str]:
    """List the places where the folder of a run was whenever it was started."""
    places = (plain.get("run_dir") for plain in map(_load, _saved(run)))
    return sorted({str(place) for place in places if place})


def _saved(run: RunDir) -> list[Path]:
    return sorted(run.config_dir.glob("*.yaml"), key=lambda path: path.stem)


def _load(path: Path) -> dict[str, Any]:
    try:
        plain = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except Exception as error:
        problem = f"Expected a configuration, but got {str(path)!r}, which cannot be read"
        raise ConfigError(f"{problem} ({type(error).__name__}). Remove it.") from error
    if not isinstance(plain, dict):
        raise ConfigError(f"Expected a configuration, but got a {type(plain).__name__} in {path}.")
    return {str(key): value for key, value in plain.items()}


def _portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Take out what differs from start to start; texts are those that YAML gives back."""
    kept = {key: value for key, value in config.items() if key not in _STARTING}
    moved = relocate(kept, str(config.get("run_dir", RUN_DIR)), RUN_DIR)
    plain = OmegaConf.to_container(OmegaConf.create(OmegaConf.to_yaml(OmegaConf.create(moved))))
    assert isinstance(plain, dict)  # noqa: S101 - a dictionary stays one
    return {str(key): value for key, value in plain.items()}


def _dotted(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            flat |= _dotted(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat

"""Options of ``leyden train``, which are Hydra's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from leyden.errors import ConfigError, suggest

__all__ = ["TRAIN_OPTIONS", "Typed", "read_options"]

TRAIN_OPTIONS: Mapping[str, Sequence[str] | None] = MappingProxyType(
    {
        "--cfg": ("job", "hydra", "all"),
        "--config-dir": (),
        "--config-name": (),
        "--config-path": (),
        "--experimental-rerun": (),
        "--help": None,
        "--hydra-help": None,
        "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
        "--multirun": None,
        "--package": (),
        "--resolve": None,
        "--run": None,
        "--shell-completion": None,
        "--version": None,
    }
)
"""By name, the values that an option takes: ``()`` for any, ``None`` for none."""

_SHORT: Mapping[str, str] = MappingProxyType(
    {
        "-c": "--cfg",
        "-cd": "--config-dir",
        "-cn": "--config-name",
        "-cp": "--config-path",
        "-h": "--help",
        "-i": "--info",
        "-m": "--multirun",
        "-p": "--package",
        "-r": "--run",
        "-sc": "--shell-completion",
    }
)


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed.

    Args:
        words: It, options before overrides: between overrides, Hydra does not take them.
        folder: Where options of groups are looked for, too; the user's.
        name: Of the main configuration file, without extension.
    """

    words: Sequence[str]
    folder: Path | None
    name: str


def read_options(arguments: Sequence[str], default: str) -> Typed:
    """Tell options from overrides, and refuse options that there are not.

    Args:
        arguments: What was typed.
        default: Name of the main file where none was named.

    Raises:
        ConfigError: If an option is not known, or a folder of configuration does not exist.
    """
    options, overrides, found = [], [], {}
    left = list(arguments)
    while left:
        word = left.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        options.append(word)
        typed, sign, value = word.partition("=")
        name = _name_of(typed)
        if not sign and left and _takes(name, left[0]):
            value = left.pop(0)
            options.append(value)
        found[name] = value
    folder = Path(found["--config-dir"]) if "--config-dir" in found else None
    if folder is not None and not folder.is_dir():
        problem = f"Expected `--config-dir` to be a folder, but got {str(folder)!r}"
        raise ConfigError(f"{problem}, which is none.")
    main_file = found.get("--config-name", default).removesuffix(".yaml")
    return Typed([*options, *overrides], folder, main_file)


def _name_of(option: str) -> str:
    """Find the whole name of an option; Hydra takes its beginning for it."""
    name = _SHORT.get(option, option)
    whole = [one for one in TRAIN_OPTIONS if one.startswith(name)]
    if not whole or len(name) < 3:
        problem = f"Expected an option of Hydra, but got {option!r}."
        raise ConfigError(f"{problem} {suggest(option, TRAIN_OPTIONS)}")
    return name if name in TRAIN_OPTIONS else whole[0]


def _takes(name: str, word: str) -> bool:
    values = TRAIN_OPTIONS[name]
    if values is None:
        return False
    return not values or word in values

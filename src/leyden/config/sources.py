"""Where a value of a configuration comes from: an override, or a file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

__all__ = ["Sources"]

_GLOBAL = "# @package _global_"
_REFERENCE = re.compile(r"\$ \{(?:oc\.select:)?([\w.]+)")  # as `_load` leaves it


@dataclass(frozen=True, slots=True)
class Sources:
    """What a configuration was composed from.

    Args:
        overrides: What was typed, ``key=value``.
        choices: The option of each group, in the order in which they were composed.
        folders: Where files of options are looked for.
        main: Name of the main file, without extension.
    """

    overrides: Sequence[str] = ()
    choices: Mapping[str, Any] | None = None
    folders: Sequence[Path] = ()
    main: str = "train"

    @classmethod
    def of(cls, hydra_config: Any) -> "Sources":
        """Ask Hydra.

        Args:
            hydra_config: Its section of the configuration.
        """
        choices = {str(group): option for group, option in hydra_config.runtime.choices.items()}
        folders = [
            Path(source.path)
            for source in hydra_config.runtime.config_sources
            if source.schema == "file"
        ]
        overrides = OmegaConf.to_container(hydra_config.overrides.task, resolve=False)
        assert isinstance(overrides, list)  # noqa: S101 - of Hydra's schema
        main = str(hydra_config.job.config_name or "train")
        return cls([str(text) for text in overrides], choices, folders, main)

    def find(self, key: str) -> str | None:
        """Say where a value comes from.

        Args:
            key: Its key, dotted.

        Returns:
            Some words; ``None`` if that is not known.
        """
        for override in reversed(self.overrides):
            name = override.partition("=")[0].lstrip("+~")
            if name not in (self.choices or {}) and (
                key == name or key.startswith((f"{name}.", f"{name}["))
            ):
                return f"the override {override}"
        for path, prefix in self._files():
            held = _held(path, key.removeprefix(prefix)) if key.startswith(prefix) else None
            if held is not None:
                refers = _REFERENCE.match(str(held))
                near = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
                return (self.find(refers[1]) if refers else None) or str(near)
        return None

    def _files(self) -> Iterator[tuple[Path, str]]:
        """List the files that were chosen, the last first, and where what they hold goes."""
        chosen = [(group, option) for group, option in (self.choices or {}).items() if option]
        named = [
            (folder / group / f"{option}.yaml", f"{group}.")
            for group, option in chosen
            for folder in self.folders
            if not group.startswith("hydra")
        ]
        existing = [(path, prefix) for path, prefix in named if path.is_file()]
        on_top = [(path, "") for path, _ in existing if _is_global(path)]
        yield from reversed(on_top)
        yield from ((folder / f"{self.main}.yaml", "") for folder in self.folders)
        for path, prefix in reversed(existing):
            if not _is_global(path):
                yield from ((one, prefix) for one in _with_defaults(path))


def _is_global(path: Path) -> bool:
    return path.read_text(encoding="utf-8").startswith(_GLOBAL)


def _with_defaults(path: Path) -> Iterator[Path]:
    """Give a file, and then the files of its group on which it builds."""
    yield path
    for name in reversed(_load(path).get("defaults", [])):
        beside = path.with_name(f"{name}.yaml")
        if beside != path and beside.is_file():
            yield from _with_defaults(beside)


def _held(path: Path, key: str) -> Any:
    return OmegaConf.select(_load(path), key.partition("[")[0]) if path.is_file() else None


def _load(path: Path) -> DictConfig:
    """Read a file without looking up what its interpolations refer to."""
    plain = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    return OmegaConf.create(_escaped(plain) if isinstance(plain, dict) else {})


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _escaped(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_escaped(child) for child in value]
    return value.replace("${", "$ {") if isinstance(value, str) else value

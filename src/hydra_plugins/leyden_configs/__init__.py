"""Let any Hydra application use leyden's configuration, as ``leyden/callbacks/resume``.

Hydra imports this whenever an application starts, so it imports neither torch nor leyden.
"""

from importlib.util import find_spec
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from typing_extensions import override

__all__ = ["LeydenConfigSource", "LeydenSearchPath"]

_NAME = "leyden"
_DEFAULTS = "defaults"


class LeydenSearchPath(SearchPathPlugin):
    """Have Hydra look among leyden's files last, unless it does anyway."""

    @override
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        folder = _conf_dir()
        if all(not item.path.endswith(str(folder)) for item in search_path.get_path()):
            search_path.append(provider=_NAME, path=f"{_NAME}://{folder}")


class LeydenConfigSource(ConfigSource):
    """The files of a folder, in groups below ``leyden``.

    What is in a group keeps the place it has in leyden's own application: ``leyden/model: cnn`` is
    the key ``model``, and ``leyden/model@net: cnn`` the key ``net``.
    """

    @staticmethod
    @override
    def scheme() -> str:
        return _NAME

    @override
    def load_config(self, config_path: str) -> ConfigResult:
        file = self._file(config_path)
        if file is None:
            raise ConfigLoadError(f"Config not found : {config_path}")
        header = self._get_header_dict(file.read_text(encoding="utf-8"))
        if header["package"] is None:
            group = file.parent.relative_to(self.path).as_posix().replace("/", ".")
            header["package"] = "_global_" if group == "." else f"_global_.{group}"
        return ConfigResult(
            config=_load(file), path=self.full_path(), provider=self.provider, header=header
        )

    @override
    def available(self) -> bool:
        return Path(self.path).is_dir()

    @override
    def is_group(self, config_path: str) -> bool:
        folder = self._below(config_path)
        return not config_path or (folder is not None and folder.is_dir())

    @override
    def is_config(self, config_path: str) -> bool:
        return self._file(config_path) is not None

    @override
    def list(self, config_path: str, results_filter: ObjectType | None) -> "list[str]":
        folder = self._below(config_path)
        if folder is None:
            return [] if config_path or results_filter is ObjectType.CONFIG else [_NAME]
        groups = [path.name for path in folder.iterdir() if path.is_dir()]
        configs = [path.stem for path in folder.glob("*.yaml")]
        chosen = {ObjectType.GROUP: groups, ObjectType.CONFIG: configs}
        return sorted({*(groups + configs if results_filter is None else chosen[results_filter])})

    def _below(self, config_path: str) -> Path | None:
        """Say where something lies that is called ``leyden/...``."""
        first, *rest = config_path.split("/")
        return Path(self.path, *rest) if first == _NAME else None

    def _file(self, config_path: str) -> Path | None:
        path = self._below(config_path.removesuffix(".yaml"))
        file = None if path is None else path.with_suffix(".yaml")
        return file if file is not None and file.is_file() else None


def _conf_dir() -> Path:
    """Find the shipped configuration, as ``leyden.config.conf_dir`` does, without importing it."""
    spec = find_spec(_NAME)
    assert spec is not None  # noqa: S101 - it comes with this
    assert spec.origin is not None  # noqa: S101 - it is a package of files
    package = Path(spec.origin).parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def _load(file: Path) -> DictConfig:
    """Read a file, and what it says that its group's other files hold.

    So all of it goes where the file goes.
    """
    config = OmegaConf.load(file)
    assert isinstance(config, DictConfig)  # noqa: S101 - of files of ours
    defaults = config.pop(_DEFAULTS, [])
    beside = [item for item in defaults if isinstance(item, str) and item != "_self_"]
    merged = OmegaConf.merge(*(_load(file.with_name(f"{name}.yaml")) for name in beside), config)
    assert isinstance(merged, DictConfig)  # noqa: S101 - of such
    others = [item for item in defaults if item not in beside]
    return OmegaConf.create({_DEFAULTS: others, **merged}) if others else merged

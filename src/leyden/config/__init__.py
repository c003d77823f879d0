"""From configuration files to objects; the only room besides the command line that knows Hydra."""

from leyden.config.build import build, build_data, build_group, save_config
from leyden.config.location import conf_dir
from leyden.config.messages import explain
from leyden.config.resolvers import register_resolvers

__all__ = [
    "build",
    "build_data",
    "build_group",
    "conf_dir",
    "explain",
    "register_resolvers",
    "save_config",
]

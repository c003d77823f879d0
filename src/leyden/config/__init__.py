"""From configuration files to objects; the only room besides the command line that knows Hydra."""

from leyden.config.build import build, build_data, build_group, plain_config, save_config
from leyden.config.checking import check_config
from leyden.config.identity import (
    RUN_DIR,
    changes,
    config_digest,
    differences,
    load_saved_config,
    saved_run_dirs,
)
from leyden.config.location import conf_dir, group_options
from leyden.config.messages import dotted_keys, explain, explain_unknown_key, known_keys
from leyden.config.resolvers import register_resolvers
from leyden.config.sources import Sources

__all__ = [
    "RUN_DIR",
    "Sources",
    "build",
    "build_data",
    "build_group",
    "changes",
    "check_config",
    "conf_dir",
    "config_digest",
    "differences",
    "dotted_keys",
    "explain",
    "explain_unknown_key",
    "group_options",
    "known_keys",
    "load_saved_config",
    "plain_config",
    "register_resolvers",
    "save_config",
    "saved_run_dirs",
]

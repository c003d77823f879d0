"""From configuration files to objects; the only room besides the command line that knows Hydra."""

from typing import TYPE_CHECKING

from leyden._lazy import importer

if TYPE_CHECKING:
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
    from leyden.config.objects import build, build_data, build_group, plain_config, save_config
    from leyden.config.resolvers import register_resolvers
    from leyden.config.sources import Sources
else:  # a shell's completion needs the names of keys, but none of the objects
    __getattr__ = importer(
        __name__,
        {
            "RUN_DIR": "leyden.config.identity",
            "Sources": "leyden.config.sources",
            "build": "leyden.config.objects",
            "build_data": "leyden.config.objects",
            "build_group": "leyden.config.objects",
            "changes": "leyden.config.identity",
            "check_config": "leyden.config.checking",
            "conf_dir": "leyden.config.location",
            "config_digest": "leyden.config.identity",
            "differences": "leyden.config.identity",
            "dotted_keys": "leyden.config.messages",
            "explain": "leyden.config.messages",
            "explain_unknown_key": "leyden.config.messages",
            "group_options": "leyden.config.location",
            "known_keys": "leyden.config.messages",
            "load_saved_config": "leyden.config.identity",
            "plain_config": "leyden.config.objects",
            "register_resolvers": "leyden.config.resolvers",
            "save_config": "leyden.config.objects",
            "saved_run_dirs": "leyden.config.identity",
        },
    )

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

"""Functions that configuration files can call: ``${claim_dir:parent,name}``."""

from pathlib import Path

from omegaconf import OmegaConf

from leyden.runs import claim_dir

__all__ = ["register_resolvers"]


def register_resolvers() -> None:
    """Make the functions known; calling it again changes nothing."""
    if not OmegaConf.has_resolver("claim_dir"):
        # Cached, so that one start of the program claims one folder, however often it asks.
        OmegaConf.register_new_resolver("claim_dir", _claim, use_cache=True)


def _claim(parent: str, name: str) -> str:
    return str(claim_dir(Path(parent), name))

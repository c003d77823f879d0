"""Functions that configuration files can call, such as ``${claim_dir:parent,name}``."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from leyden.runs import build_name, claim_dir, next_number

__all__ = ["register_resolvers"]

_NUMBER = "M?__"  # in a name, to be replaced when its folder is claimed


def register_resolvers() -> None:
    """Make the functions known; calling it again changes nothing.

    ``claim_dir:parent,name`` makes a new folder; ``run_name:name,base`` gives a name, or if it is
    null builds one from what the section ``naming`` lists; ``numbered_name:name,base`` likewise,
    with a number that ``claim_dir`` puts in.
    """
    if not OmegaConf.has_resolver("claim_dir"):
        # Cached, so that one start of the program claims one folder, however often it asks.
        OmegaConf.register_new_resolver("claim_dir", _claim, use_cache=True)
        OmegaConf.register_new_resolver("run_name", _name)
        OmegaConf.register_new_resolver("numbered_name", _name_with_number)


def _claim(parent: str, name: str) -> str:
    if _NUMBER not in name:
        return str(claim_dir(Path(parent), name))
    with next_number(Path(parent).parent) as number:
        return str(claim_dir(Path(parent), name.replace(_NUMBER, f"M{number}__", 1)))


def _name(name: str | None, base: str | None, *, _root_: DictConfig) -> str:
    if name is not None:
        return str(name)
    fields = OmegaConf.to_container(_root_.get("naming") or OmegaConf.create())
    assert isinstance(fields, dict)  # noqa: S101 - a DictConfig becomes a dictionary
    known = {key: OmegaConf.select(_root_, key) for key in map(str, fields)}
    plain = {
        key: OmegaConf.to_object(value) if OmegaConf.is_config(value) else value
        for key, value in known.items()
        if value is not None
    }
    return build_name(base or "run", plain, {str(key): alias for key, alias in fields.items()})


def _name_with_number(name: str | None, base: str | None, *, _root_: DictConfig) -> str:
    built = _name(name, base, _root_=_root_)
    return f"{_NUMBER}{built}" if name is None else built

"""Paths in what a run has written, after its folder was moved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["relocate"]


def relocate(value: Any, old: str | Path, new: str | Path) -> Any:
    """Have everything below one folder lie below another.

    Args:
        value: Mappings, lists and tuples of anything; keys count too.
        old: The folder that texts begin with, as whole names of folders.
        new: What they are to begin with.

    Returns:
        A copy; what is no text and no container is as it was.

    Example:
        >>> relocate({"path": ["a/run/metrics.csv", "a/runs"]}, "a/run", "b")
        {'path': ['b/metrics.csv', 'a/runs']}
    """
    return _relocate(value, str(old).rstrip("/"), str(new).rstrip("/"))


def _relocate(value: Any, old: str, new: str) -> Any:
    if isinstance(value, Path):
        return Path(_in_text(str(value), old, new))
    if isinstance(value, str):
        return _in_text(value, old, new)
    if isinstance(value, Mapping):
        items = ((_relocate(k, old, new), _relocate(v, old, new)) for k, v in value.items())
        return dict(items)
    if type(value) in (list, tuple):
        return type(value)(_relocate(item, old, new) for item in value)
    return value


def _in_text(text: str, old: str, new: str) -> str:
    """Replace the folder at the beginning of a text, or quoted in a key as ``A{'path': '...'}``."""
    if text == old or text.startswith(f"{old}/"):
        return new + text[len(old) :]
    for quote in "'\"":
        text = text.replace(f"{quote}{old}/", f"{quote}{new}/")
        text = text.replace(f"{quote}{old}{quote}", f"{quote}{new}{quote}")
    return text

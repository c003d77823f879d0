"""What objects of a run hold, for people to read."""

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from leyden.errors import ConfigError
from leyden.generators import attributes_of

__all__ = ["describe"]

_MOST = 50  # items of a list that is told in full


def describe(
    thing: Any,
    *,
    include: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    exclude_types: Sequence[type] = (),
) -> dict[str, Any]:
    """Describe the attributes of an object by what JSON can hold; the object is left as it is.

    Args:
        thing: Any object; of a mapping, its items are meant.
        include: Names that are told, in which ``*`` stands for any part; all if there are none.
            Names with an underscore in front are told only if they are named here.
        exclude: Names that are left out, likewise; not together with ``include``.
        exclude_types: Types whose values are left out.

    Returns:
        By name, numbers, texts, lists and dictionaries as they are, long ones by their length,
        arrays by their type and shape, and all else by its class, or name if it has one.

    Raises:
        ConfigError: If names are to be told and to be left out at once.

    Example:
        >>> from types import SimpleNamespace
        >>> describe(SimpleNamespace(rate=0.1, sizes=(8, 4), optimizer=object()))
        {'optimizer': 'object', 'rate': 0.1, 'sizes': [8, 4]}
    """
    if include and exclude:
        raise ConfigError(
            "Expected `include` or `exclude`, but got both. Pass one of them: what is included "
            "leaves out the rest."
        )
    include, exclude = _names(include), _names(exclude)
    held = thing if isinstance(thing, Mapping) else attributes_of(thing)
    kinds = tuple(exclude_types)
    return {
        str(name): _tell(held[name])
        for name in sorted(held, key=str)
        if _is_told(str(name), include, exclude) and not isinstance(held[name], kinds)
    }


def _names(patterns: str | Sequence[str]) -> Sequence[str]:
    return (patterns,) if isinstance(patterns, str) else patterns


def _is_told(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    if include:
        return any(fnmatchcase(name, pattern) for pattern in include)
    return not name.startswith("_") and not any(fnmatchcase(name, one) for one in exclude)


def _tell(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # for which JSON has no number
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _tell_items(value)
    return _name(value)


def _tell_items(values: Any) -> Any:
    if len(values) > _MOST:
        return f"{type(values).__name__} of {len(values)}"
    if isinstance(values, Mapping):
        return {str(key): _tell(one) for key, one in values.items()}
    return [_tell(one) for one in values]


def _name(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and hasattr(value, "dtype"):
        return f"{type(value).__name__} {tuple(shape)} of {value.dtype}"
    own = value if hasattr(value, "__qualname__") else type(value)
    return str(own.__qualname__)

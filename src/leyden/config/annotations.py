"""Whether a value of a configuration can be what a signature says.

Only what is plainly wrong is refused: a class that is annotated may be made from anything.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from inspect import Parameter, isclass, signature
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["describe", "fits", "parameters_of"]

_LISTS = (Sequence, list, tuple, Iterable, Collection, set, frozenset)
_SCALARS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_MAPPINGS = (Mapping, dict)
_PATHS = (Path, os.PathLike)
_OBJECT = "a section with a _target_"


def parameters_of(function: Callable[..., Any]) -> dict[str, Parameter]:
    """List the parameters of a function or a class, with their annotations resolved.

    Args:
        function: What is called.

    Returns:
        Parameters by name; nothing if it does not say.

    Example:
        >>> def scale(by: "float", *, copy: bool = True) -> None: ...
        >>> [(name, one.annotation.__name__) for name, one in parameters_of(scale).items()]
        [('by', 'float'), ('copy', 'bool')]
    """
    try:
        found = signature(function).parameters
    except (TypeError, ValueError):
        return {}
    hints = _hints(function.__init__ if isclass(function) else function)
    return {name: one.replace(annotation=hints.get(name, Any)) for name, one in found.items()}


def _hints(function: Any) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # names that exist for type checkers only
        return {}


def fits(value: Any, kind: Any) -> bool:
    """Say whether a value can be of a kind; a section with a ``_target_`` can be anything.

    Args:
        value: From a configuration, in plain containers.
        kind: An annotation.

    Example:
        >>> fits("abc", int | None), fits(None, int | None), fits([1, 2.5], list[float])
        (False, True, True)
    """
    if isinstance(value, Mapping) and "_target_" in value:
        return True  # whatever that makes
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Annotated, Union, UnionType):
        return _fits_one(value, parts[:1] if origin is Annotated else parts)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in parts)
    if (origin or kind) in (*_LISTS, *_MAPPINGS):
        return _fits_many(value, origin or kind, parts)
    return _fits_class(value, kind)


def _fits_one(value: Any, kinds: Sequence[Any]) -> bool:
    """A scalar has to be one of those that are named, if any is; a class may take anything."""
    if isinstance(value, bool | int | float | str) and any(map(_is_scalar, kinds)):
        kinds = [kind for kind in kinds if _is_scalar(kind)]
    return any(fits(value, kind) for kind in kinds)


def _is_scalar(kind: Any) -> bool:
    return kind in _SCALARS or get_origin(kind) is Literal or _is_path(kind)


def _is_path(kind: Any) -> bool:
    return (get_origin(kind) or kind) in _PATHS


def _fits_many(value: Any, kind: Any, parts: Sequence[Any]) -> bool:
    if kind in _MAPPINGS:
        named = isinstance(value, Mapping)
        return named and all(fits(child, part) for child in value.values() for part in parts[1:])
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    if len(parts) == 1 or parts[1:] == (...,):
        return all(fits(child, parts[0]) for child in value)
    return not parts or (len(parts) == len(value) and all(map(fits, value, parts)))


def _fits_class(value: Any, kind: Any) -> bool:
    test = _TESTS.get(kind)
    if test is None and isclass(kind) and issubclass(kind, Enum):
        return value in [name for one in kind for name in (one.name, one.value)]
    if test is None and _is_path(kind):
        return isinstance(value, str)
    return test is None or test(value)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _is_float(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TESTS: dict[Any, Callable[[Any], bool]] = {
    None: lambda value: value is None,
    NoneType: lambda value: value is None,
    bool: lambda value: value in (True, False),
    int: _is_int,
    float: _is_float,
    str: lambda value: isinstance(value, str),
}


def describe(kind: Any) -> str:
    """Say in words what a value has to be.

    Args:
        kind: An annotation.

    Example:
        >>> describe(int | None), describe(Literal["a", "b"]), describe(Sequence[float])
        ('a whole number or null', "'a' or 'b'", 'a list')
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return describe(parts[0])
    if origin in (Union, UnionType):
        named = [text for text in map(describe, parts) if text != _OBJECT]
        return _join(named if {*named} - {"null"} else [*named, _OBJECT])
    if origin is Literal:
        return _join(repr(choice) for choice in parts)
    if isclass(kind) and issubclass(kind, Enum):
        return _join(repr(one.value) for one in kind)
    return _WORDS.get(origin or kind, _OBJECT)


_WORDS: dict[Any, str] = {
    None: "null",
    NoneType: "null",
    **_SCALARS,
    **dict.fromkeys(_PATHS, "a path"),
    **dict.fromkeys(_LISTS, "a list"),
    **dict.fromkeys(_MAPPINGS, "a section"),
}


def _join(words: Iterable[str]) -> str:
    """Join alternatives, the same words once and null at the end."""
    parts = list(dict.fromkeys(part for text in words for part in text.split(" or ")))
    joined = " or ".join(sorted(parts, key=lambda part: part == "null"))
    return joined.replace("true or false or", "true or false, or")

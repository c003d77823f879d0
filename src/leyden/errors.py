"""The errors that leyden raises.

Every class is also the built-in error that a caller who has never heard of leyden would catch::

    LeydenError
    ├── ConfigError      (ValueError)         an argument or a configuration key is wrong
    ├── MissingPathError (FileNotFoundError)  a path that was named does not exist
    ├── MissingExtraError (ImportError)       an optional package is not installed
    ├── DataError        (ValueError)         the data contradicts itself or what is asked of it
    │   ├── DiscoveryError                    a folder cannot be read as numbered shards
    │   ├── FormatError                       a file format is unknown
    │   └── ShardError                        one shard is broken, or differs from the others
    ├── NonFiniteError   (FloatingPointError) a loss or a gradient is NaN or infinite
    ├── ResumeError      (RuntimeError)       a saved state does not fit what it is loaded into, or
    │                                         cannot be saved or read
    └── WriteError       (OSError)            nothing can be written where it was asked for
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from math import inf
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from typing_extensions import override

__all__ = [
    "ConfigError",
    "DataError",
    "DiscoveryError",
    "FormatError",
    "LeydenError",
    "MissingExtraError",
    "MissingPathError",
    "NonFiniteError",
    "ResumeError",
    "ShardError",
    "WriteError",
    "check_number",
    "check_version",
    "check_whole",
    "suggest",
    "suggest_beside",
]

_SHOWN = 20  # names listed in one message


class LeydenError(Exception):
    """Anything that leyden raises on purpose."""


class ConfigError(LeydenError, ValueError):
    """An argument or a configuration key is wrong."""


class MissingPathError(LeydenError, FileNotFoundError):
    """A path that was named does not exist."""


class MissingExtraError(LeydenError, ImportError):
    """An optional package is not installed."""


class DataError(LeydenError, ValueError):
    """The data contradicts itself, or what is asked of it."""


class DiscoveryError(DataError):
    """A folder cannot be read as numbered shards."""


class FormatError(DataError):
    """A file format is unknown."""


class ShardError(DataError):
    """One shard is broken, or differs from the others.

    Args:
        problem: What is wrong, as a sentence.
        path: The file, where one file is at fault.
        set_number: Its set number, once known; whoever knows it sets the attribute.
    """

    def __init__(
        self, problem: str, *, path: Path | None = None, set_number: int | None = None
    ) -> None:
        super().__init__(problem)
        self.problem, self.path, self.set_number = problem, path, set_number

    @override
    def __str__(self) -> str:
        number = "" if self.set_number is None else f"Set {self.set_number}: "
        where = "" if self.path is None else f" ({self.path})"
        return f"{number}{self.problem}{where}"


class NonFiniteError(LeydenError, FloatingPointError):
    """A loss or a gradient is NaN or infinite."""


class ResumeError(LeydenError, RuntimeError):
    """A saved state does not fit what it is loaded into."""


class WriteError(LeydenError, OSError):
    """Nothing can be written where it was asked for, and nothing was.

    Args:
        problem: What is wrong, as a sentence.
        errno: The number that the system has for it; ``None`` if it has none.
    """

    def __init__(self, problem: str, errno: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.errno = problem, errno

    @override
    def __str__(self) -> str:
        return self.problem


def check_whole(name: str, value: Any, least: int) -> int:
    """Refuse an argument that is not a whole number, or too low.

    Args:
        name: Of the argument.
        value: Its value; one of NumPy's will do.
        least: The lowest that it may be.

    Returns:
        The number.

    Raises:
        ConfigError: If it is no such number.

    Example:
        >>> check_whole("size", 3, 1)
        3
    """
    is_whole = not isinstance(value, bool) and isinstance(value, Integral)
    if not (is_whole and value >= least):
        problem = f"Expected `{name}` to be a whole number from {least}"
        raise ConfigError(f"{problem}, but got {value!r}.")
    return int(value)


def check_boolean(name: str, value: Any) -> bool:
    """Refuse an argument that is neither true nor false: a text such as ``"no"`` would be true.

    Args:
        name: Of the argument.
        value: Its value; one of NumPy's will do.

    Returns:
        Which of the two.

    Raises:
        ConfigError: If it is neither.

    Example:
        >>> check_boolean("drop_last", False)
        False
    """
    if type(value).__name__ not in ("bool", "bool_"):  # which NumPy's are called, by its release
        raise ConfigError(f"Expected `{name}` to be true or false, but got {value!r}.")
    return bool(value)


def check_number(name: str, value: Any, least: float, most: float = inf) -> None:
    """Refuse an argument that is not a finite number, or out of range.

    Args:
        name: Of the argument.
        value: Its value.
        least: The lowest that it may be.
        most: The highest.

    Raises:
        ConfigError: If it is no such number.

    Example:
        >>> check_number("fraction", 0.5, 0, 1)
    """
    is_number = not isinstance(value, bool) and isinstance(value, Real)
    if not (is_number and least <= float(value) <= most and abs(float(value)) < inf):
        low = "" if least == -inf else f" from {least:.12g}"
        high = "" if most == inf else f" to {most:.12g}"
        kind = "number" if low else "finite number"
        raise ConfigError(f"Expected `{name}` to be a {kind}{low}{high}, but got {value!r}.")


def check_version(state: Mapping[str, Any], version: int) -> None:
    """Refuse a saved state that another version of leyden has written.

    Args:
        state: What ``state_dict`` returned then.
        version: The one that can be read.

    Raises:
        ResumeError: If the state is of another version.

    Example:
        >>> check_version({"version": 1, "count": 3}, 1)
    """
    if state.get("version") != version:
        problem = f"Expected the version of the state to be {version}"
        raise ResumeError(f"{problem}, but got {state.get('version')!r}.")


def suggest(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant, and which there are.

    Args:
        name: What was written.
        known: The names that exist.

    Returns:
        One or two sentences to end an error message with.

    Example:
        >>> suggest("adm", ["sgd", "adam"])
        "Did you mean 'adam'? Known: adam, sgd."
        >>> suggest("foo", ["sgd", "adam"])
        'Known: adam, sgd.'
    """
    names = sorted(known)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    question = f"Did you mean {near[0]!r}? " if near else ""
    return f"{question}Known: {', '.join(names[:_SHOWN]) or 'none'}{more}."


def suggest_beside(path: Path) -> str:
    """Say which neighbour of a path that does not exist was probably meant, and which there are.

    Args:
        path: What was written.

    Returns:
        One or two sentences to end an error message with.
    """
    folder = path.parent
    return suggest(path.name, [one.name for one in folder.iterdir()] if folder.is_dir() else [])

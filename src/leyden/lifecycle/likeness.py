"""Methods whose names are almost those of hooks, which nobody would call."""

from collections.abc import Container, Iterable
from difflib import SequenceMatcher
from inspect import isfunction
from typing import Any, Final

from leyden.errors import ConfigError

__all__ = ["check_likeness", "check_methods"]

_LIKENESS = 0.75  # of a name that was meant for another
_MARGIN = 0.05  # by which other names may be less alike and still be meant
_PREFIXES: Final = ("on_", "bef", "aft", "at_")  # names that ask to be called


def check_methods(part: Any, known: Iterable[str]) -> None:
    """Check that what looks like a hook among the methods of an object is one.

    Args:
        part: The object.
        known: Names of all hooks.

    Raises:
        ConfigError: If a method is named almost like a hook.
    """
    hooks = sorted(known)
    for owner in type(part).__mro__:
        for name, value in vars(owner).items():
            if isfunction(value) and name.startswith(_PREFIXES) and name not in hooks:
                check_likeness(type(part), name, hooks)


def check_likeness(
    kind: type, name: str, hooks: Iterable[str], *, documented: Container[str] = ()
) -> None:
    """Check that a method is not named almost like a hook.

    Args:
        kind: The class that has the method.
        name: Name of the method, which is none of the hooks.
        hooks: Names of all hooks.
        documented: Those that are named first.

    Raises:
        ConfigError: If it is.
    """
    likeness = {hook: SequenceMatcher(None, name, hook).ratio() for hook in hooks}
    best = max(likeness.values())
    if best < _LIKENESS:
        return
    nearest = sorted(
        (hook for hook, value in likeness.items() if value >= best - _MARGIN),
        key=lambda hook: (hook not in documented, -likeness[hook]),
    )
    question = f"Did you mean {' or '.join(map(repr, nearest))}?"
    problem = f"Expected `{kind.__name__}` to override hooks that exist, but got {name!r}"
    raise ConfigError(f"{problem}. {question} If it is no hook, begin its name with `_`.")

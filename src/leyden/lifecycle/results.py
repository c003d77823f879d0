"""What is computed of a batch beside the step, and only when somebody reads it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from typing_extensions import override

from leyden.errors import suggest

__all__ = ["Fetches", "Results", "copy_fetches", "make_feeds"]

Fetches: TypeAlias = Mapping[str, Any]
"""Functions, called as ``function(module, **feeds)``, in a nested dictionary."""

_FEEDS = ("inputs", "labels", "weights")


def make_feeds(batch: Any) -> dict[str, Any]:
    """Make a shallow copy of a batch, its parts by name.

    Args:
        batch: A mapping keeps its keys. The parts of a tuple or list are ``inputs``, ``labels``,
            ``weights``, ``part_3`` and so on; those of a named tuple have their names. Anything
            else is ``inputs``.

    Example:
        >>> make_feeds(("x", "y"))
        {'inputs': 'x', 'labels': 'y'}
        >>> make_feeds("x")
        {'inputs': 'x'}
    """
    if isinstance(batch, Mapping):
        return dict(batch)
    if isinstance(batch, tuple | list):
        given = getattr(batch, "_fields", _FEEDS)
        others = (f"part_{index}" for index in range(len(given), len(batch)))
        return dict(zip((*given, *others), batch, strict=False))
    return {"inputs": batch}


def copy_fetches(fetches: Fetches) -> dict[str, Any]:
    """Copy the dictionaries of fetches, at every depth, but not the functions.

    Args:
        fetches: Functions in a nested dictionary.

    Example:
        >>> copy_fetches({"a": {"b": len}}) == {"a": {"b": len}}
        True
    """
    return {
        name: copy_fetches(item) if isinstance(item, Mapping) else item
        for name, item in fetches.items()
    }


class Results(Mapping[str, Any]):
    """Results of fetches by path, each computed when it is first read, and kept.

    Args:
        fetches: Functions in a nested dictionary; what is no function is a result as it is.
        evaluate: Calls one function.

    Example:
        >>> results = Results({"a": {"b": lambda: [1, 2]}}, lambda function: function())
        >>> results["a/b"], results["a"]["b"], results["a/b/1"]
        ([1, 2], [1, 2], 2)
    """

    def __init__(self, fetches: Fetches, evaluate: Callable[[Callable[..., Any]], Any]) -> None:
        self._fetches, self._evaluate = dict(fetches), evaluate
        self._known: dict[str, Any] = {}

    @override
    def __getitem__(self, path: str) -> Any:
        name, _, rest = path.partition("/")
        if name not in self._fetches:
            problem = f"Expected `path` to name a result, but got {path!r}."
            raise KeyError(f"{problem} {suggest(name, self._fetches)}")
        if name not in self._known:
            self._known[name] = self._compute(self._fetches[name])
        return _walk(self._known[name], rest) if rest else self._known[name]

    def _compute(self, item: Any) -> Any:
        if isinstance(item, Mapping):
            return Results(item, self._evaluate)
        return self._evaluate(item) if callable(item) else item

    @override
    def __contains__(self, path: object) -> bool:
        """Say whether there is such a result; computes only what lies on the way to it."""
        if not isinstance(path, str):
            return False
        name, _, rest = path.partition("/")
        if name not in self._fetches or not rest:
            return name in self._fetches
        item = self[name]
        if isinstance(item, Results):
            return rest in item
        return _has(item, rest)

    @override
    def get(self, key: str, default: Any = None) -> Any:
        """Read a result if there is such a path; errors of its function are not hidden."""
        if key not in self:
            return default
        return self[key]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._fetches)

    @override
    def __len__(self) -> int:
        return len(self._fetches)

    def add(self, name: str, value: Any) -> None:
        """Add what is known already, unless there is a fetch of that name.

        Args:
            name: Its name.
            value: The result.
        """
        if name not in self._fetches:
            self._fetches[name] = self._known[name] = value


def _walk(value: Any, path: str) -> Any:
    """Go down into what a function returned: dictionaries by key, sequences by position."""
    if isinstance(value, Mapping) and path in value:
        return value[path]  # a key may have a slash in it
    part, _, rest = path.partition("/")
    if isinstance(value, Mapping) and part in value:
        value = value[part]
    elif _is_row(value) and part.isdecimal() and int(part) < len(value):
        value = value[int(part)]
    else:
        known = suggest(part, map(str, value)) if isinstance(value, Mapping) else f"Got {value!r}."
        raise KeyError(f"Expected `path` to go on with a known key, but got {part!r}. {known}")
    return _walk(value, rest) if rest else value


def _is_row(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _has(value: Any, path: str) -> bool:
    try:
        _walk(value, path)
    except KeyError:
        return False
    return True

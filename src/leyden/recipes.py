"""Recipes: objects described as plain dictionaries, ``{type: adam, lr: 0.001}``.

A recipe is plain, so it can be written to a configuration and to a checkpoint that loads without
unpickling; and it leaves out what is only known later, such as the parameters or the input shape.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, TypeAlias

from leyden.errors import ConfigError, LeydenError, suggest

__all__ = ["Recipe", "build", "import_named", "is_plain"]

Recipe: TypeAlias = str | Mapping[str, Any] | Callable[..., Any]
"""A name, a dictionary with the name under ``type`` and keyword arguments, or a factory."""


def build(recipe: Recipe, known: Mapping[str, Callable[..., Any]], *args: Any, what: str) -> Any:
    """Make the object that a recipe describes.

    Args:
        recipe: What to make.
        known: The factories that have a short name; other names are import paths,
            ``package.module.Class``.
        args: What the recipe leaves out, given first.
        what: What is being made, for errors.

    Returns:
        The object.

    Raises:
        ConfigError: If the name is not known, or the arguments do not fit.

    Example:
        >>> build({"type": "round", "ndigits": 1}, {"round": round}, 2.345, what="number")
        2.3
        >>> build("fractions.Fraction", {}, 1, 3, what="number")
        Fraction(1, 3)
    """
    if callable(recipe):
        return _call(recipe, *args, what=what)
    settings = {"type": recipe} if isinstance(recipe, str) else dict(recipe)
    name = settings.pop("type", None)
    if not isinstance(name, str):
        problem = f"Expected `{what}` to have a `type`, but got {recipe!r}."
        raise ConfigError(f"{problem} {suggest(str(name), known)}")
    factory = known[name] if name in known else import_named(name, known, what)
    try:
        return factory(*args, **settings)
    except LeydenError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and name not in known:
            raise  # of somebody else's class, whose traceback is worth seeing
        problem = f"Expected `{what}` to have arguments that {name} takes, but got {settings}"
        raise ConfigError(f"{problem}: {error}.") from error


def _call(factory: Callable[..., Any], *args: Any, what: str) -> Any:
    try:
        return factory(*args)
    except LeydenError:
        raise
    except TypeError as error:
        name = getattr(factory, "__qualname__", repr(factory))
        problem = f"Expected `{what}` to be made by {name} without more arguments"
        remedy = "Pass what it makes, or a dictionary with `type` and the arguments."
        raise ConfigError(f"{problem}, but got an error: {error}. {remedy}") from error


def is_plain(recipe: object) -> bool:
    """Say whether a value is made of numbers, strings, lists and dictionaries only."""
    if isinstance(recipe, dict):
        return all(isinstance(key, str) and is_plain(value) for key, value in recipe.items())
    if isinstance(recipe, list | tuple):
        return all(map(is_plain, recipe))
    return recipe is None or type(recipe) in (bool, int, float, str)  # NumPy's are not plain


def import_named(path: str, known: Iterable[str], what: str) -> Any:
    """Import what a recipe names by its path.

    Args:
        path: An import path, ``package.module.Class``.
        known: The short names that there are, for errors.
        what: What is being made, for errors.

    Raises:
        ConfigError: If there is no such thing.

    Example:
        >>> import_named("fractions.Fraction", [], what="number").__name__
        'Fraction'
    """
    module, _, name = path.rpartition(".")
    problem = f"Expected `{what}` to be of a known type or an import path, but got {path!r}."
    if not module:
        raise ConfigError(f"{problem} {suggest(path, known)}")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, TypeError) as error:  # TypeError: a relative path
        raise ConfigError(f"{problem} It cannot be imported: {error}.") from error

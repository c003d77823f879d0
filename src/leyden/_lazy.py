"""Names that are imported when somebody asks for them: what is behind some takes seconds."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ["importer"]


def importer(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a package, which imports a name once it is asked for.

    Args:
        package: The package's ``__name__``.
        homes: The module of each name, and of none: modules of the package are found as they are.

    Returns:
        The function; it raises ``AttributeError`` for what there is not.

    Example:
        >>> importer("json", {"JSONDecoder": "json.decoder"})("JSONDecoder").__name__
        'JSONDecoder'
    """

    def find(name: str) -> Any:
        if name in homes:
            value = getattr(import_module(homes[name]), name)
        elif not name.startswith("_") and find_spec(f"{package}.{name}") is not None:
            value = import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    return find

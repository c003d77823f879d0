"""Call what somebody else wrote."""

from collections.abc import Callable
from typing import Any

__all__ = ["invoke"]


def invoke(function: Callable[..., Any], *arguments: Any, name: str, moment: object) -> Any:
    """Call a hook; an error that it raises says in a note which hook it was, and when.

    Args:
        function: The hook's function.
        *arguments: What it is given.
        name: Name of the hook.
        moment: Name of the method or stage.

    Returns:
        What the function returns.
    """
    try:
        return function(*arguments)
    except Exception as error:
        error.add_note(f"in `{moment}` of the hook `{name}`")
        raise

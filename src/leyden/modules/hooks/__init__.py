"""How the documented hooks of a module come to be called."""

from leyden.modules.hooks.bridges import connect_hooks
from leyden.modules.hooks.caller import HookCaller
from leyden.modules.hooks.names import (
    ATTRIBUTE_HOOKS,
    CALLED_HOOKS,
    check_names,
    is_any_overridden,
)

__all__ = [
    "ATTRIBUTE_HOOKS",
    "CALLED_HOOKS",
    "HookCaller",
    "check_names",
    "connect_hooks",
    "is_any_overridden",
]

"""Names of hooks: those that are called, those that were meant, those that cannot be."""

from collections.abc import Callable, Iterator
from inspect import isfunction, signature
from typing import Any, Final

from leyden.errors import ConfigError
from leyden.lifecycle import check_likeness

__all__ = ["ATTRIBUTE_HOOKS", "CALLED_HOOKS", "check_names", "is_any_overridden"]

ATTRIBUTE_HOOKS: Final = tuple(
    f"define_{part}_attr" for part in ("data", "model", "train", "test", "log", "compute", "misc")
)
"""Hooks that set attributes, in the order in which they are called."""

CALLED_HOOKS: Final = (
    "start_logger",
    "on_start_training_batch",
    "on_end_training_batch",
    "on_train_batches_end",
    "on_evaluate_epoch_start",
    "on_evaluate_batch_start",
    "on_evaluate_batch_end",
    "on_evaluate_epoch_end",
    "on_epoch_end",
    "load_model",
    "load_parallel_model",
    "on_start_test_batch",
    "on_end_test_batch",
)
"""Hooks that Lightning does not know and that are called while it runs."""

_CONTAINERS: Final = {
    "train_loop": "`on_train_start` or `on_train_end`",
    "train_epoch": "`on_train_epoch_start`, `on_train_batches_end` or `on_epoch_end`",
    "train_batch": "`training_step`, `on_start_training_batch` or `on_end_training_batch`",
    "evaluate_epoch": "`evaluate_batch`, `on_evaluate_epoch_start` or `on_evaluate_epoch_end`",
    "test_loop": "`test_step`, `on_start_test_batch` or `on_end_test_batch`",
}
_SIGNATURES: Final = {
    "train": "self, mode=True",
    "training_step": "self, batch, batch_idx",
    "test_step": "self, batch, batch_idx",
    "optimizer_step": "self, epoch, batch_idx, optimizer, optimizer_closure=None",
    "optimizer_zero_grad": "self, epoch, batch_idx, optimizer",
}
_PREFIXES: Final = ("on_", "define_")  # names that ask to be called


def is_any_overridden(kind: type, base: type, *names: str) -> bool:
    """Tell whether a class has a method of its own under one of these names.

    Args:
        kind: A class.
        base: The class that it is made from, which has all of them.
        *names: Names of methods.

    Returns:
        Whether there is one.
    """
    return any(getattr(kind, name) is not getattr(base, name) for name in names)


def check_names(kind: type, base: type) -> None:
    """Check that what looks like a hook is one.

    Args:
        kind: A class of modules.
        base: The class that it is made from, whose methods are known.

    Raises:
        ConfigError: If a method is named almost like a hook, belongs to a loop, or has not the
            arguments that Lightning gives it.
    """
    hooks = [name for name in dir(base) if name.startswith(_PREFIXES)]
    for name, method in _own_methods(kind, base):
        if name in _CONTAINERS:
            problem = f"Expected `{kind.__name__}` to leave the loop to Lightning"
            remedy = f"Override {_CONTAINERS[name]} instead."
            raise ConfigError(f"{problem}, but got a method `{name}`. {remedy}")
        if name in _SIGNATURES and len(signature(method).parameters) < 2:
            problem = f"Expected `{name}` of `{kind.__name__}` to take Lightning's arguments"
            raise ConfigError(f"{problem}, but got none. Write `def {name}({_SIGNATURES[name]})`.")
        if name.startswith(_PREFIXES) and not hasattr(base, name):
            check_likeness(kind, name, hooks, documented=vars(base))


def _own_methods(kind: type, base: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for owner in kind.__mro__:
        if owner not in base.__mro__:
            yield from ((name, value) for name, value in vars(owner).items() if isfunction(value))

"""Call a hook by its name."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning import LightningModule

from leyden.modules.resetting import trainer_of

__all__ = ["call_hook", "noting_hook"]


@contextmanager
def noting_hook(module: LightningModule, name: str) -> Iterator[None]:
    """Have an error that comes out of a hook say in a note which hook it was, and when.

    Args:
        module: The module whose hook it is.
        name: Name of the hook.
    """
    try:
        yield
    except Exception as error:
        error.add_note(f"in the hook `{name}` of `{type(module).__name__}`{_moment(module)}")
        raise


def call_hook(module: LightningModule, name: str, *arguments: Any) -> Any:
    """Call a hook of a module.

    Args:
        module: The module.
        name: Name of the hook.
        *arguments: What it is given.

    Returns:
        What the hook returns.
    """
    with noting_hook(module, name):
        return getattr(module, name)(*arguments)


def _moment(module: LightningModule) -> str:
    trainer = trainer_of(module)
    if trainer is None or trainer.state.stage is None:
        return ""
    return f", in stage {trainer.state.stage.value!r} of epoch {trainer.current_epoch} (from zero)"

"""What the class of a module is given so that Lightning finds its documented hooks."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from lightning import LightningModule
from torch import Tensor

from leyden.errors import ConfigError
from leyden.modules.hooks.call import call_hook
from leyden.modules.hooks.names import is_any_overridden
from leyden.modules.resetting import trainer_of

__all__ = ["connect_hooks"]


def connect_hooks(kind: type, base: type) -> None:
    """Have Lightning's methods call the hooks that a class overrides.

    A hook is called in place of Lightning's method of the same purpose, unless that one is
    overridden by the same class or by one further down; or after a method of Lightning's, which
    need not know of it.

    Args:
        kind: A class of modules.
        base: The class that it is made from, which has all of the hooks.
    """
    for hook, (name, method) in _IN_PLACE_OF.items():
        if is_any_overridden(kind, base, hook) and _depth(kind, hook) < _depth(kind, name):
            setattr(kind, name, method)
    for hook, name in _AFTER.items():
        if is_any_overridden(kind, base, hook):
            setattr(kind, name, _announced(name, getattr(kind, name)))


def _depth(kind: type, name: str) -> int:
    """Count the classes down to the one that a method comes from."""
    return next(depth for depth, owner in enumerate(kind.__mro__) if name in vars(owner))


def _validation_step(
    self: LightningModule,
    batch: Any,
    batch_idx: int,
    dataloader_idx: int = 0,  # noqa: ARG001 - asked for by name where there are several loaders
) -> Any:
    # What `on_evaluate_epoch_start` prepares is not there in the sanity check.
    if getattr(trainer_of(self), "sanity_checking", False):
        return None
    return call_hook(self, "evaluate_batch", (batch_idx, batch))


def _backward(self: LightningModule, loss: Tensor, *args: Any, **kwargs: Any) -> None:
    if self.automatic_optimization:
        call_hook(self, "loss_backward", loss)
    else:  # called by the hook itself
        LightningModule.backward(self, loss, *args, **kwargs)


def _loader_from(hook: str) -> Callable[[LightningModule], Any]:
    def loader(self: LightningModule) -> Any:
        made = call_hook(self, hook)
        if made is None:
            problem = f"Expected `{hook}` of `{type(self).__name__}` to return a loader"
            raise ConfigError(f"{problem}, but got None. End it with `return loader`.")
        return made

    return loader


def _announced(name: str, method: Callable[..., None]) -> Callable[..., None]:
    """Tell the module's caller of hooks when a method is done."""

    @wraps(method)
    def announced(self: Any) -> None:
        method(self)
        # A class further down has one of its own, and may call this one with `super()`.
        if self._caller is not None and getattr(type(self), name) is announced:
            self._caller.follow(name)

    return announced


_IN_PLACE_OF: Final[dict[str, tuple[str, Callable[..., Any]]]] = {
    "evaluate_batch": ("validation_step", _validation_step),
    "get_testloader": ("test_dataloader", _loader_from("get_testloader")),
    "get_trainloader": ("train_dataloader", _loader_from("get_trainloader")),
    "loss_backward": ("backward", _backward),
}
_AFTER: Final = {
    "on_epoch_end": "on_train_epoch_end",
    "on_train_batches_end": "on_validation_model_zero_grad",
    "start_logger": "on_train_start",
}

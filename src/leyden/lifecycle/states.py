"""State that a model carries from one window to the next, and that ends with the batch."""

from collections.abc import Iterable
from typing import Any

from torch import nn

from leyden.lifecycle.windows import find_window

__all__ = ["StateResetting", "reset_states", "stateful_parts"]


def stateful_parts(module: nn.Module) -> list[Any]:
    """Find the parts of a module that have a method ``reset_state()``, itself among them.

    Args:
        module: The module.

    Returns:
        The parts, outermost first.

    Example:
        >>> stateful_parts(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
        []
    """
    return [part for part in module.modules() if hasattr(type(part), "reset_state")]


def reset_states(parts: Iterable[Any]) -> None:
    """Call ``reset_state()`` of every part.

    Args:
        parts: What ``stateful_parts`` returned.
    """
    for part in parts:
        part.reset_state()


class StateResetting:
    """The hooks of a Lightning callback by which no state outlives its batch.

    Before the first window of every batch and after its last, in training, validation, test and
    prediction, it resets the stateful parts of the module; also where these end within a batch.
    """

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[Any] | None = None  # once looked for

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002 - names are Lightning's
        """Forget the module of an earlier run."""
        self._parts = None

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, _batch: Any, batch_idx: int
    ) -> None:
        """Reset before the first window."""
        self._begin(trainer, pl_module, batch_idx)

    def on_train_batch_end(
        self, trainer: Any, _pl_module: Any, _outputs: Any, _batch: Any, batch_idx: int
    ) -> None:
        """Reset after the last window, and after the last step of an epoch."""
        self._end(trainer, batch_idx, is_over=trainer.is_last_batch)

    def on_validation_batch_start(
        self, trainer: Any, pl_module: Any, _batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Reset before the first window."""
        self._begin(trainer, pl_module, batch_idx, dataloader_idx)

    def on_validation_batch_end(
        self,
        trainer: Any,
        _pl_module: Any,
        _outputs: Any,
        _batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Reset after the last window."""
        self._end(trainer, batch_idx, dataloader_idx)

    def on_validation_epoch_end(self, _trainer: Any, _pl_module: Any) -> None:
        """Reset after the last step, which need not be the last window of a batch."""
        reset_states(self._parts or ())

    on_test_epoch_end = on_predict_epoch_end = on_validation_epoch_end
    on_test_batch_start = on_predict_batch_start = on_validation_batch_start
    on_test_batch_end = on_predict_batch_end = on_validation_batch_end

    def _begin(
        self, trainer: Any, pl_module: nn.Module, batch_index: int, loader_index: int = 0
    ) -> None:
        if self._parts is None or batch_index == 0:
            self._parts = stateful_parts(pl_module)
        if self._parts and find_window(trainer, batch_index, loader_index).is_first:
            reset_states(self._parts)

    def _end(
        self, trainer: Any, batch_index: int, loader_index: int = 0, *, is_over: bool = False
    ) -> None:
        if self._parts and (is_over or find_window(trainer, batch_index, loader_index).is_last):
            reset_states(self._parts)

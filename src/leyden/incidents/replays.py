"""A step of a run, made again."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from leyden.incidents.examination import examine, loss_of_step
from leyden.incidents.rows import BadRow, find_bad_rows
from leyden.incidents.step_start import restore_start
from leyden.incidents.true_loss import as_recorded, loss_divisor
from leyden.introspect import NonFinite
from leyden.introspect.step import TALKS, say_nothing

__all__ = ["MadeStep", "Replay", "same_bits"]


@dataclass(frozen=True, slots=True)
class MadeStep:
    """A batch of training that was made again.

    Args:
        step: The optimizer step that it is part of, from one.
        epoch: Its epoch, from zero.
        batch: Its place in the epoch, from zero.
        loss: Its loss.
        recorded: Its loss in the run; ``None`` if nothing says so.
    """

    step: int
    epoch: int
    batch: int
    loss: float
    recorded: float | None = None

    @property
    def is_equal(self) -> bool | None:
        """Whether the two are equal in every bit; ``None`` if only one is known."""
        return None if self.recorded is None else same_bits(self.loss, self.recorded)


@dataclass
class Replay:
    """A step of a run as it was before it was made, to be looked at and made as often as one likes.

    The module has the weights, the buffers and the modes from before the step, and the global
    random generators stand where they stood, so that whatever is called now finds what the step
    found. ``restore`` brings that back after something else was done. What the module logs is
    dropped.

    Args:
        step_number: The optimizer step, from one.
        epoch: Its epoch, from zero.
        batch_index: The place of the batch in the epoch, from zero.
        module: The module.
        arguments: What ``training_step`` is called with; the batch first.
        origin: Where the batch comes from: sets and rows, as far as that is known.
        loss: The loss, once the step was made.
        recorded: The loss in the run; ``None`` if nothing says so.
        findings: The first tensor with a value that is not finite, in the forward pass, and if
            there is none in the gradients; then the first such output of a layer, if that is
            another one. Empty if all are finite, or the step was not made.
        rows: Rows of the batch with values that are not finite.
        made: The batches that were made on the way, oldest first, the last one being this step.
        trainer: The trainer of the run that was made again, with its optimizers; ``None`` where
            there is none.
        start: What the replay started from, in words.
    """

    step_number: int
    epoch: int
    batch_index: int
    module: LightningModule
    arguments: tuple[Any, ...]
    origin: Any = None
    loss: float | None = None
    recorded: float | None = None
    findings: tuple[NonFinite, ...] = ()
    rows: tuple[BadRow, ...] = ()
    made: tuple[MadeStep, ...] = ()
    trainer: Trainer | None = None
    start: str = ""
    _weights: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _state: Mapping[str, Any] = field(default_factory=dict, repr=False)
    _device: torch.device = field(default_factory=lambda: torch.device("cpu"), repr=False)

    @property
    def batch(self) -> Any:
        """The batch, as the step got it."""
        return self.arguments[0]

    @property
    def is_equal(self) -> bool | None:
        """Whether the loss is that of the run in every bit; ``None`` if one is not known."""
        if self.loss is None or self.recorded is None:
            return None
        return same_bits(self.loss, self.recorded)

    def restore(self) -> None:
        """Bring weights, buffers, modes and the global generators back to before the step."""
        self.module.to(self._device)
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                parameter.copy_(self._weights[name])
        restore_start(self.module, self._state)

    def step(self) -> Tensor:
        """Make the step, forward and backward; the gradients are in the parameters then.

        Nothing is logged, and no optimizer changes the weights.

        Returns:
            The loss, ``()``, detached.
        """
        self.restore()
        divisor = loss_divisor(self.trainer, self.module)
        with torch.enable_grad():
            with self._context():
                loss = loss_of_step(self.module, self.arguments)
            if divisor > 1:
                loss = loss / divisor
            loss.backward()  # type: ignore[no-untyped-call] # torch has no types for it
        loss = loss.detach() * divisor if divisor > 1 else loss.detach()
        self.loss = loss.item()
        return loss

    def _context(self) -> AbstractContextManager[Any]:
        if self.trainer is None:
            return nullcontext()
        return self.trainer.precision_plugin.train_step_context()

    def keep(self, state: Mapping[str, Any]) -> None:
        """Take what is now for what is before the step.

        Args:
            state: What `StepStart.state` returned when the step began.
        """
        self._device = self.module.device
        self._weights = {
            name: value.detach().clone() for name, value in self.module.named_parameters()
        }
        self._state = state
        own = vars(self.module)  # there is no loop that could take what is logged
        own.update({name: say_nothing for name in TALKS if hasattr(self.module, name)})

    def examine(self) -> None:
        """Make the step quietly, and note the loss and what is not finite in it."""
        found = examine(self.module, self.arguments, self._state, context=self._context())
        self.loss = as_recorded(found.loss, self.trainer, self.module).item()
        self.findings = found.findings
        self.rows = tuple(find_bad_rows(self.batch, self.origin))


def same_bits(one: float, other: float) -> bool:
    """Compare two losses in every bit; NaN is equal to NaN.

    Args:
        one: A loss.
        other: A loss.
    """
    return one == other or (math.isnan(one) and math.isnan(other))

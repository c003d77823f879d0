"""When a loss or a gradient is worth an alarm."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from statistics import median
from typing import Any

from leyden.errors import ConfigError, check_whole

__all__ = ["Facts", "LossWatch", "Trouble"]

_ENOUGH = 10  # losses before a median says something


class Trouble(StrEnum):
    """What goes wrong in a step."""

    LOSS = "loss"
    GRADIENT = "gradient"
    JUMP = "jump"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is remembered of a batch of training.

    Args:
        step: The optimizer step that it is part of, from one.
        epoch: Its epoch, from zero.
        batch: Its place in the epoch, from zero.
        loss: Its loss; the mean of those of all processes.
        gradient_norm: 2-norm of all gradients together, before they are clipped.
        learning_rates: Of each group of parameters.
    """

    step: int
    epoch: int
    batch: int
    loss: float
    gradient_norm: float
    learning_rates: tuple[float, ...]


_NAMES = tuple(one.name for one in fields(Facts) if one.name != "learning_rates")


class LossWatch:
    """Remember the last steps, and tell when one is unlike them.

    Args:
        jump: A loss that is so many times the median of those remembered, and larger than all of
            them, is a jump; ``None`` if none is.
        history: Number of steps that are remembered.

    Raises:
        ConfigError: If an argument is out of range.

    Example:
        >>> watch = LossWatch(jump=10.0, history=64)
        >>> for step in range(1, 21):
        ...     assert watch.judge(0.5, is_finite=True) is None
        ...     watch.remember(Facts(step, 0, step - 1, 0.5, 1.0, (0.1,)))
        >>> watch.judge(7.0, is_finite=True)
        <Trouble.JUMP: 'jump'>
    """

    def __init__(self, *, jump: float | None, history: int) -> None:
        told: Any = jump
        if told is not None and not (isinstance(told, int | float) and told > 1):
            raise ConfigError(f"Expected `jump` to be a number above 1, but got {jump!r}.")
        check_whole("history", history, _ENOUGH)
        self._jump = jump
        self._ring: deque[Facts] = deque(maxlen=history)
        self._is_bad = False  # since when it is, there is nothing new to tell

    @property
    def before(self) -> tuple[Facts, ...]:
        """The steps that are remembered, oldest first."""
        return tuple(self._ring)

    @property
    def median(self) -> float | None:
        """Median of the finite losses remembered; ``None`` while there are too few."""
        losses = [facts.loss for facts in self._ring if math.isfinite(facts.loss)]
        return median(losses) if len(losses) >= _ENOUGH else None

    def judge(self, loss: float, *, is_finite: bool) -> Trouble | None:
        """Say what is wrong with a batch that was well the batch before.

        Args:
            loss: Its loss.
            is_finite: Whether its gradients are.

        Returns:
            What is wrong; ``None`` if nothing is, or nothing new.
        """
        trouble = self._find(loss, is_finite=is_finite)
        is_new, self._is_bad = not self._is_bad, trouble is not None
        return trouble if is_new else None

    def _find(self, loss: float, *, is_finite: bool) -> Trouble | None:
        if not math.isfinite(loss):
            return Trouble.LOSS
        if not is_finite:
            return Trouble.GRADIENT
        # Where a loss is nearly zero, many times as much is nothing new.
        if self._jump is None or any(facts.loss >= loss for facts in self._ring):
            return None
        usual = self.median
        is_jump = usual is not None and 0 < self._jump * usual < loss
        return Trouble.JUMP if is_jump else None

    def remember(self, facts: Facts) -> None:
        """Add a batch, and forget the oldest.

        Args:
            facts: About the batch.
        """
        self._ring.append(facts)

    def state_dict(self) -> dict[str, Any]:
        """Write down what is remembered."""
        ring = [
            [*(getattr(facts, name) for name in _NAMES), list(facts.learning_rates)]
            for facts in self._ring
        ]
        return {"is_bad": self._is_bad, "ring": ring}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what another watch did.

        Args:
            state: What ``state_dict`` returned.
        """
        rows: Sequence[Sequence[Any]] = state["ring"]
        self._ring.clear()
        self._ring.extend(
            Facts(**dict(zip(_NAMES, row[:-1], strict=True)), learning_rates=tuple(row[-1]))
            for row in rows
        )
        self._is_bad = state["is_bad"]

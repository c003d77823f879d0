"""Windows of time: a batch of long series is served as several, one for each stretch of time."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from leyden.lifecycle.serving import data_in_use, plans_in_use

__all__ = ["Window", "find_window"]


@dataclass(frozen=True, slots=True)
class Window:
    """Which stretch of a batch's time a step is given.

    Args:
        index: Its place among the windows of its batch, from zero.
        count: How many windows a batch has; one if it is not cut.
    """

    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether a batch begins with it."""
        return self.index == 0

    @property
    def is_last(self) -> bool:
        """Whether a batch ends with it."""
        return self.index == self.count - 1

    def share(self, weights: tuple[float, float]) -> float:
        """Tell how much this window counts in the weighted mean of all up to it.

        That mean is the one before, moved by this fraction towards the value of this window.

        Args:
            weights: Weights of the first and of the last window, from zero; those of the others lie
                evenly between them.

        Returns:
            A fraction; 1 for the first window, and as long as all weights are zero.

        Example:
            >>> Window(1, 2).share((0.5, 1.5))  # 1.5 / (0.5 + 1.5)
            0.75
        """
        weights_so_far = np.linspace(*weights, self.count)[: self.index + 1]
        total = float(weights_so_far.sum())
        return float(weights_so_far[-1]) / total if total else 1.0


def find_window(trainer: Any, batch_index: int, loader_index: int = 0) -> Window:
    """Tell which window of its batch the trainer's present step is given.

    Args:
        trainer: A Lightning trainer. The loader in use knows if it has the attribute ``plan`` of
            ``AutoDataModule``'s; else the data module, if it has the method ``num_windows(phase,
            epoch)``. Without both, a batch is one window.
        batch_index: Place of the step among those of its epoch, from zero.
        loader_index: Which of several loaders it is from, where each has its turn.

    Returns:
        The window.
    """
    counts = [plan.windows for plan in plans_in_use(trainer, loader_index) if plan is not None]
    count = max(counts) if counts else _count_by_data(trainer)
    return Window(batch_index % count, count)


def _count_by_data(trainer: Any) -> int:
    num_windows = getattr(data_in_use(trainer), "num_windows", None)
    if num_windows is None:
        return 1
    phase = trainer.state.stage.dataloader_prefix  # train, val, test or predict
    count: int = num_windows(phase, trainer.current_epoch)
    return count

"""Rows of numbers that a callback collects in the course of a validation."""

from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from leyden.data.origin import rows_of
from leyden.errors import DataError
from leyden.lifecycle import find_origin
from leyden.types import Phase

__all__ = ["CollectedRows", "sets_of_rows"]

_KEY = "leyden.collected_rows"  # of a checkpoint


class CollectedRows:
    """Rows of numbers, of this process; those of all processes are had on demand.

    They stay on their device until then. In the middle of a validation they are part of a
    checkpoint, from which the validation goes on.

    Args:
        name: What tells them apart in a checkpoint.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._parts: list[tuple[Tensor, ...]] = []
        self._before: Tensor | None = None  # those of a checkpoint

    def begin(self, batch_index: int, loader_index: int) -> None:
        """Forget what there is, if a validation begins with this batch."""
        if batch_index == 0 and loader_index == 0:
            self.clear()

    def add(self, *columns: Tensor) -> None:
        """Add rows.

        Args:
            columns: Each ``(rows,)`` or ``(rows, columns)``; on any device.
        """
        self._parts.append(tuple(part.detach().clone() for part in columns))

    def clear(self) -> None:
        """Forget all rows."""
        self._parts, self._before = [], None

    def gather(self, trainer: Trainer) -> Tensor:
        """Bring the rows of all processes together; all of them must ask.

        Args:
            trainer: The trainer.

        Returns:
            The rows, process by process, ``(rows, columns)``, float64, on the CPU.
        """
        return _join(self._by_rank(trainer))

    def save(self, trainer: Trainer, checkpoint: dict[str, Any]) -> None:
        """Put the rows of all processes into a checkpoint, in the middle of a validation."""
        if trainer.validating:  # which all processes agree on
            parts = self._by_rank(trainer)
            if any(map(len, parts)):
                checkpoint.setdefault(_KEY, {})[self._name] = parts

    def load(self, trainer: Trainer, checkpoint: dict[str, Any]) -> None:
        """Take the rows of this process out of a checkpoint.

        If there were more or fewer processes, the first one takes them all.
        """
        self.clear()
        parts = checkpoint.get(_KEY, {}).get(self._name, [])
        if len(parts) == trainer.world_size:
            rows = parts[trainer.global_rank]
        else:
            rows = _join(parts if trainer.global_rank == 0 else [])
        self._before = rows if len(rows) else None

    def _by_rank(self, trainer: Trainer) -> list[Tensor]:
        own = self._own()
        if trainer.world_size == 1:
            return [own]
        strategy, device = trainer.strategy, trainer.strategy.root_device
        sizes = strategy.all_gather(torch.tensor(own.shape, device=device)).cpu()
        num_rows, num_columns = sizes.amax(0).tolist()
        if not num_rows:
            return [own] * trainer.world_size
        padded = own.new_zeros(num_rows, num_columns)
        padded[: len(own), : own.shape[1]] = own
        parts = strategy.all_gather(padded.to(device)).cpu()
        return [part[:count].clone() for part, count in zip(parts, sizes[:, 0], strict=True)]

    def _own(self) -> Tensor:
        """Lay the columns of all parts side by side, and wait once for each."""
        columns = [torch.cat(parts) for parts in zip(*self._parts, strict=True)]
        rows = [(column[:, None] if column.ndim == 1 else column).cpu() for column in columns]
        now = [torch.cat([column.double() for column in rows], dim=1)] if rows else []
        return _join(now if self._before is None else [self._before, *now])


def _join(parts: list[Tensor]) -> Tensor:
    filled = [part for part in parts if len(part)]
    return torch.cat(filled) if filled else torch.zeros(0, 0, dtype=torch.float64)


def sets_of_rows(trainer: Trainer, batch_index: int, num_rows: int | None) -> Tensor | None:
    """Tell which set each row of a validation batch of the first loader is of.

    Args:
        trainer: The trainer. Its loader, or data module, knows if it is ``AutoDataModule``'s or has
            what ``leyden.lifecycle.find_origin`` asks for; else every batch is a set, and its
            number counts the batches of all processes.
        batch_index: Place of the batch among those of this process, from zero.
        num_rows: How many rows it has; ``None`` for as many as it says, or one.

    Returns:
        Set numbers, ``(rows,)``; ``None`` if the batch only repeats a row of another process.

    Raises:
        DataError: If the loader speaks of another number of rows.
    """
    origin = find_origin(trainer, Phase.VAL, batch_index)
    slices = getattr(origin, "slices", None)
    if slices is None:
        number = batch_index * trainer.world_size + trainer.global_rank
        return torch.full((num_rows or 1,), number)
    if getattr(origin, "is_repeated", False):
        return None
    sets = torch.from_numpy(rows_of(slices)[0])
    if num_rows not in (None, len(sets)):
        problem = f"Expected scores for each of the {len(sets)} rows of a batch"
        raise DataError(f"{problem}, but got {num_rows}.")
    return sets

"""The trainer as it runs: its loaders and what it drew of them, its checkpoint, its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loops.fetchers import _PrefetchDataFetcher
from lightning.pytorch.utilities.exceptions import _TunerExitException
from lightning.pytorch.utilities.model_helpers import is_overridden

__all__ = [
    "accumulates",
    "at_epoch",
    "drawn_ahead",
    "draws_ahead",
    "dump",
    "has_to_make",
    "leave_quietly",
    "loaders_of",
]


def dump(trainer: Trainer) -> dict[str, Any]:
    """Make a checkpoint as Lightning would write it; on every rank."""
    return trainer._checkpoint_connector.dump_checkpoint(weights_only=False)


def leave_quietly() -> BaseException:
    """The exception that ends a run as if it had been wanted: ``fit`` returns."""
    return _TunerExitException()


def accumulates(trainer: Trainer) -> bool:
    """Whether gradients are kept from one batch to the next."""
    module = trainer.lightning_module
    by_hand = ("optimizer_step", "optimizer_zero_grad")
    if not module.automatic_optimization or any(is_overridden(one, module) for one in by_hand):
        return True
    return trainer.accumulate_grad_batches > 1 and trainer.fit_loop._should_accumulate()


def drawn_ahead(trainer: Trainer, phase: str) -> int:
    """Count the batches that Lightning has drawn and not yet used."""
    loop = trainer.fit_loop if phase == "train" else trainer.fit_loop.epoch_loop.val_loop
    return len(getattr(loop._data_fetcher, "batches", ()))


def draws_ahead(trainer: Trainer, phase: str) -> bool:
    """Whether Lightning draws batches before it uses them: where it does not know their number."""
    loop = trainer.fit_loop if phase == "train" else trainer.fit_loop.epoch_loop.val_loop
    fetcher = loop._data_fetcher
    return isinstance(fetcher, _PrefetchDataFetcher) and fetcher.length is None


def loaders_of(trainer: Trainer, phase: str) -> list[Any]:
    """The loaders that a phase of ``fit`` goes through, as Lightning has them."""
    loop = trainer.fit_loop if phase == "train" else trainer.fit_loop.epoch_loop.val_loop
    return [] if loop._combined_loader is None else loop._combined_loader.flattened


def has_to_make(trainer: Trainer, phase: str) -> bool:
    """Whether the loaders of a phase are to be made anew, as their epochs are over."""
    if phase == "train":
        return bool(trainer.fit_loop._should_reload_train_dl)
    return trainer.fit_loop.epoch_loop.val_loop._should_reload_val_dl


@contextmanager
def at_epoch(trainer: Trainer, epoch: int) -> Iterator[None]:
    """Have a trainer say that it is in an epoch, while the context lasts."""
    count = trainer.fit_loop.epoch_progress.current
    before, count.completed = count.completed, epoch
    try:
        yield
    finally:
        count.completed = before

"""The trainer as it runs: its loaders and what it drew of them, its checkpoint, its end."""

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loops.fetchers import _PrefetchDataFetcher
from lightning.pytorch.utilities.exceptions import _TunerExitException

__all__ = ["accumulates", "drawn_ahead", "draws_ahead", "dump", "leave_quietly", "loaders_of"]


def dump(trainer: Trainer) -> dict[str, Any]:
    """Make a checkpoint as Lightning would write it; on every rank."""
    return trainer._checkpoint_connector.dump_checkpoint(weights_only=False)


def leave_quietly() -> BaseException:
    """The exception that ends a run as if it had been wanted: ``fit`` returns."""
    return _TunerExitException()


def accumulates(trainer: Trainer) -> bool:
    """Whether gradients are kept from one batch to the next."""
    if not trainer.lightning_module.automatic_optimization:
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

"""What a trainer, its module and its data say about a run, for people to read."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from leyden.data import AutoDataModule
from leyden.types import Phase

__all__ = ["data_state", "hyper_parameters", "last_metrics", "train_state"]


def hyper_parameters(trainer: Trainer, module: LightningModule) -> dict[str, Any]:
    """Name the module, its size, its optimizers and its saved hyper-parameters.

    Args:
        trainer: The trainer.
        module: Its module.
    """
    sizes = [one.numel() for one in module.parameters() if not _is_unborn(one)]
    data = trainer.datamodule  # type: ignore[attr-defined] # set outside its class
    return {
        "module": type(module).__name__,
        "parameters": f"{sum(sizes):,}",
        "optimizer": [type(one).__name__ for one in trainer.optimizers],
        **_flat(dict(module.hparams)),
        **_flat(dict(getattr(data, "hparams", {})), "data."),
    }


def train_state(trainer: Trainer) -> dict[str, Any]:
    """Say how far training has come, how good it was at best, and how fast it learns.

    Args:
        trainer: The trainer.
    """
    return {
        "epoch": trainer.current_epoch,
        "step": trainer.global_step,
        "batches per epoch": _count(trainer.num_training_batches),
        **{f"best {name}": value for name, value in _best(trainer)},
        **dict(_rates(trainer)),
        "precision": str(trainer.precision),
        "device": trainer.strategy.root_device,
        "processes": trainer.world_size,
    }


def data_state(trainer: Trainer, phase: Phase) -> dict[str, Any]:
    """Say what is trained or validated on: sets and rows, or what the loader says.

    Args:
        trainer: The trainer.
        phase: ``train`` or ``val``.

    Returns:
        Facts by name; empty if there is no such data.
    """
    data = trainer.datamodule  # type: ignore[attr-defined] # set outside its class
    if isinstance(data, AutoDataModule):
        return _of_sets(data, phase)
    loader = trainer.train_dataloader if phase is Phase.TRAIN else trainer.val_dataloaders
    several = isinstance(loader, list | tuple) and len(loader) != 1
    if loader is None or several:
        return {"loaders": len(loader)} if loader else {}
    return _of_loader(loader[0] if isinstance(loader, list | tuple) else loader)


def last_metrics(trainer: Trainer) -> dict[str, float]:
    """Give what was logged last.

    Args:
        trainer: The trainer.
    """
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return dict(sorted(logged.items()))


def _of_sets(data: AutoDataModule, phase: Phase) -> dict[str, Any]:
    if not data.has(phase):
        return {}
    catalog, status = data.catalogs[phase], data.status
    facts: dict[str, Any] = {
        "folder": catalog.path,
        "sets": len(catalog.shards),
        "set numbers": catalog.set_numbers,
        "rows": f"{catalog.num_samples:,}",
        "row": catalog.sample_shape,
        "classes": catalog.num_classes,
    }
    if status is not None and status.phase is phase:
        facts |= {
            "batch": f"{status.batch + 1}/{status.num_batches}",
            "set": status.name,
            "sets left": status.sets_left,
            "rows per second": f"{status.rows_per_second:,.0f}",
        }
    return {name: value for name, value in facts.items() if value is not None}


def _of_loader(loader: Any) -> dict[str, Any]:
    dataset = getattr(loader, "dataset", None)
    facts = {
        "loader": type(loader).__name__,
        "batches": _length(loader),
        "batch size": getattr(loader, "batch_size", None),
        "data": None if dataset is None else type(dataset).__name__,
        "rows": _length(dataset),
        "workers": getattr(loader, "num_workers", None),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _length(thing: Any) -> int | None:
    try:
        return len(thing)
    except TypeError:  # what is streamed has none
        return None


def _count(number: float) -> str:
    return str(int(number)) if math.isfinite(number) else "unknown"


def _best(trainer: Trainer) -> Iterator[tuple[str, float]]:
    """Ask whoever watches a metric."""
    for callback in (*trainer.checkpoint_callbacks, *trainer.early_stopping_callbacks):
        score = getattr(callback, "best_model_score", getattr(callback, "best_score", None))
        monitor = getattr(callback, "monitor", None)
        if monitor is not None and isinstance(score, Tensor) and score.isfinite().all():
            yield str(monitor), float(score)


def _rates(trainer: Trainer) -> Iterator[tuple[str, Any]]:
    for index, optimizer in enumerate(trainer.optimizers):
        rates = [float(group["lr"]) for group in optimizer.param_groups if "lr" in group]
        name = "learning rate" if len(trainer.optimizers) == 1 else f"learning rate {index}"
        if rates:
            yield name, rates


def _is_unborn(parameter: nn.Parameter) -> bool:
    return isinstance(parameter, nn.parameter.UninitializedParameter)


def _flat(facts: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Give what is nested names with dots."""
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat

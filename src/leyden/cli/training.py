"""A training run from a configuration, and its summary."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning import LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from leyden.config import build, build_data, build_group, save_config
from leyden.errors import ConfigError
from leyden.runs import RunDir, RunManifest
from leyden.types import Phase

__all__ = ["Training", "best_score", "prepare", "run", "summarize"]


@dataclass(frozen=True, slots=True)
class Training:
    """Everything that a run is made of.

    Args:
        run_dir: Its folder.
        config: Its resolved configuration, in plain containers.
        data: Its data module.
        model: Its module.
        trainer: What trains it.
    """

    run_dir: RunDir
    config: Mapping[str, Any]
    data: LightningDataModule
    model: LightningModule
    trainer: Trainer


def prepare(config: DictConfig) -> Training:
    """Make the objects of a run; nothing is trained yet, and nothing wrong with them goes unseen.

    Args:
        config: The whole configuration.

    Raises:
        LeydenError: If the configuration or the data is wrong.
    """
    seed = config.seed
    if not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"Expected `seed` to be a whole number from 0, but got {seed!r}.")
    seed_everything(seed, workers=True, verbose=False)
    data = build_data(config)
    data.prepare_data()
    data.setup("fit")
    callbacks = build_group(config, "callbacks")
    if not _has(data, "val"):
        _monitor_training(callbacks)
    trainer = build(
        config,
        "trainer",
        callbacks=list(callbacks.values()),
        logger=list(build_group(config, "tracking").values()),
    )
    model = build(config, "model")
    run_dir = RunDir(Path(config.run_dir))
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    plain = save_config(config, run_dir.config_dir / f"{stamp}.yaml")
    return Training(run_dir, plain, data, model, trainer)


def run(training: Training, command: Sequence[str]) -> dict[str, float]:
    """Train, validate and test, and keep the manifest.

    Args:
        training: What ``prepare`` made.
        command: What was typed.

    Returns:
        The last value of every metric; test metrics are those of the best checkpoint.
    """
    digest = hashlib.sha256(json.dumps(training.config, sort_keys=True).encode()).hexdigest()[:16]
    seeds = {"all": training.config["seed"]}
    with RunManifest(
        training.run_dir, command=command, config_digest=digest, seeds=seeds
    ) as manifest:
        trainer = training.trainer
        trainer.fit(training.model, datamodule=training.data)
        results = {name: value.item() for name, value in trainer.callback_metrics.items()}
        manifest.add_results(results)
        if training.config["test"] and _has(training.data, "test"):
            best = "best" if _best_path(trainer) else None
            # Fast runs keep no checkpoint; the test is of the weights as they are.
            (tested,) = trainer.test(
                training.model, datamodule=training.data, ckpt_path=best, verbose=False
            )
            results |= tested
            manifest.add_results(tested)
    return results


def summarize(training: Training, results: Mapping[str, float], seconds: float) -> None:
    """Print what came out, how long it took and where things are."""
    run_dir = training.run_dir
    lines = [
        (name, f"{results[name]:.4f}{'' if phase is Phase.TEST else ' (last epoch)'}")
        for phase in (Phase.TEST, Phase.VAL)
        for name in _main_metrics(results, phase)
    ]
    lines.append(("seconds", f"{seconds:.1f}"))
    places = {
        "run folder": run_dir.path,
        "best checkpoint": Path(_best_path(training.trainer)),
        "metrics": run_dir.metrics_path,
        "history": run_dir.history_path,
        "batches": run_dir.ledger_path,
    }
    lines += [
        (topic, _relative(path)) for topic, path in places.items() if path.name and path.exists()
    ]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row(*line)
    Console().print(table)


def _main_metrics(results: Mapping[str, float], phase: Phase) -> list[str]:
    """Name the first metric of a phase and its loss, as far as there are any."""
    loss = f"{phase}/loss"
    others = [name for name in results if name.startswith(f"{phase}/") and name != loss]
    return others[:1] + [loss] * (loss in results)


def _relative(path: Path) -> str:
    """Shorten a path that is below the current directory."""
    absolute = path.resolve()
    return str(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else path)


def best_score(trainer: Trainer) -> float | None:
    """Look up the best value of what the checkpoint monitors; ``None`` if there is none."""
    score = getattr(trainer.checkpoint_callback, "best_model_score", None)
    return None if score is None else float(score)


def _best_path(trainer: Trainer) -> str:
    checkpoint = trainer.checkpoint_callback
    return getattr(checkpoint, "best_model_path", "")


def _has(data: Any, phase: str) -> bool:
    """Say whether there is data for a phase; other people's modules say it by their hooks."""
    return data.has(phase) if hasattr(data, "has") else True


def _monitor_training(callbacks: Mapping[str, Any]) -> None:
    """Keep the best checkpoint by the training metric where nothing is held out."""
    for callback in callbacks.values():
        monitor = getattr(callback, "monitor", None) or ""
        if isinstance(callback, ModelCheckpoint) and monitor.startswith("val/"):
            callback.monitor = monitor.replace("val/", "train/", 1)

"""A training run from a configuration, and its summary."""

import logging
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning import LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from leyden.cli.start import Origin, Relocation, WarmStart
from leyden.cli.tracking import ParameterLog, concluded
from leyden.config import (
    build,
    build_data,
    build_group,
    config_digest,
    plain_config,
    save_config,
)
from leyden.errors import ConfigError
from leyden.resume.checkpoints import FolderLock
from leyden.runs import RunDir, RunManifest, RunStatus, keep_code, read_manifest
from leyden.tracking import tolerate
from leyden.types import Phase

__all__ = ["Training", "prepare", "say_how_to_go_on", "summarize", "train"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Training:
    """Everything that a run is made of.

    Args:
        run_dir: Its folder.
        config: Its resolved configuration, in plain containers.
        data: Its data module.
        model: Its module.
        trainer: What trains it.
        checkpoint: What it goes on from, if anything.
    """

    run_dir: RunDir
    config: Mapping[str, Any]
    data: LightningDataModule
    model: LightningModule
    trainer: Trainer
    checkpoint: Path | None = None


def train(
    config: DictConfig, command: Sequence[str], *, origin: Origin | None, is_job: bool = False
) -> float | None:
    """Train, validate and test, keep the manifest, and print a summary.

    Args:
        config: The whole configuration.
        command: What was typed.
        origin: The checkpoint to start from, if any.
        is_job: Whether this is a job of a sweep, of which a failure is kept too if it never began.

    Returns:
        The best value of the monitored metric; ``None`` if there is none.

    Raises:
        LeydenError: If the configuration or the data is wrong.
        ResumeError: If another process writes to the folder of the run.
    """
    began = time.perf_counter()
    run_dir = RunDir(Path(config.run_dir))
    plain = plain_config(config)
    manifest = RunManifest(
        run_dir,
        command=command,
        config_digest=config_digest(plain),
        seeds={"all": plain["seed"]},
        parents=_parents(config, run_dir, origin),
        debug=plain.get("debug"),
    )
    with _alone_in(run_dir), ExitStack() as tracking, ExitStack() as stack:
        if is_job:
            stack.enter_context(manifest)
        training = prepare(config, origin)
        tracking.enter_context(concluded(run_dir, training.trainer))
        if not is_job:
            stack.enter_context(manifest)
        _keep_code(training, manifest)
        results, objective = _run(training, manifest)
    summarize(training, results, time.perf_counter() - began)
    return objective


def _keep_code(training: Training, manifest: RunManifest) -> None:
    """Keep the code of the run; what cannot be kept is told, and no reason to stop."""
    project, runs = training.config.get("code_dir"), training.config.get("runs_dir", "runs")
    if project is None:
        return
    facts, problems = keep_code(training.run_dir, Path(project), exclude=[Path(runs)])
    manifest.set_code(facts)
    if problems:
        _log.warning(" ".join(problems))


@contextmanager
def _alone_in(run_dir: RunDir) -> Iterator[None]:
    """Keep other processes out of the folder of a run."""
    run_dir.path.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(run_dir.path)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _parents(config: DictConfig, run_dir: RunDir, origin: Origin | None) -> list[dict[str, Any]]:
    """Name what a new run descends from; a run that goes on is no parent of itself."""
    if origin is None or _goes_on(run_dir, origin):
        return []
    retrain = bool(config.get("retrain", False))
    return [{"checkpoint": str(origin.checkpoint.absolute()), "retrain": retrain}]


def _goes_on(run_dir: RunDir, origin: Origin) -> bool:
    return origin.run is not None and origin.run.path.absolute() == run_dir.path.absolute()


def prepare(config: DictConfig, origin: Origin | None = None) -> Training:
    """Make the objects of a run; nothing is trained yet, and nothing wrong with them goes unseen.

    Args:
        config: The whole configuration.
        origin: The checkpoint to start from, if any.

    Raises:
        LeydenError: If the configuration or the data is wrong.
    """
    seed = config.seed
    if not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"Expected `seed` to be a whole number from 0, but got {seed!r}.")
    run_dir = RunDir(Path(config.run_dir))
    seed_everything(seed, workers=True, verbose=False)
    data = build_data(config)
    data.prepare_data()
    data.setup("fit")
    callbacks = build_group(config, "callbacks")
    if not _has(data, "val"):
        _monitor_training(callbacks)
    is_warm = origin is not None and config.get("retrain", False) and not _goes_on(run_dir, origin)
    trainer = build(
        config,
        "trainer",
        callbacks=[
            *_starting(origin, run_dir, is_warm=is_warm),
            ParameterLog(plain_config(config)),
            *callbacks.values(),
        ],
        logger=[tolerate(tracker) for tracker in build_group(config, "tracking").values()],
    )
    model = build(config, "model")
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    plain = save_config(config, run_dir.config_dir / f"{stamp}.yaml")
    checkpoint = None if origin is None or is_warm else origin.checkpoint
    return Training(run_dir, plain, data, model, trainer, checkpoint)


def _starting(origin: Origin | None, run_dir: RunDir, *, is_warm: bool) -> list[Callback]:
    if origin is None:
        return []
    return [WarmStart(origin.checkpoint) if is_warm else Relocation(origin, run_dir)]


def _run(training: Training, manifest: RunManifest) -> tuple[dict[str, float], float | None]:
    """Train, validate and test; give the last value of every metric, and the objective.

    Test metrics are those of the best checkpoint.
    """
    trainer = training.trainer
    trainer.fit(training.model, datamodule=training.data, ckpt_path=training.checkpoint)
    results = {name: value.item() for name, value in trainer.callback_metrics.items()}
    objective = _best_score(trainer)
    manifest.add_results(results)
    manifest.set_objective(objective)
    if training.config["test"] and _has(training.data, "test"):
        best = "best" if _best_path(trainer) else None
        # Fast runs keep no checkpoint; the test is of the weights as they are.
        (tested,) = trainer.test(
            training.model, datamodule=training.data, ckpt_path=best, verbose=False
        )
        results |= tested
        manifest.add_results(tested)
    return results, objective


def say_how_to_go_on(run_dir: RunDir) -> None:
    """Print what to type after an interruption, if the run can be gone on with."""
    if not run_dir.manifest_path.exists():
        return
    if read_manifest(run_dir.manifest_path)["status"] == RunStatus.INTERRUPTED:
        path = shlex.quote(str(_relative(run_dir.path)))
        print(f"Interrupted. To go on: leyden resume {path}", file=sys.stderr)


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


def _best_score(trainer: Trainer) -> float | None:
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

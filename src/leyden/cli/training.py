"""A training run from a configuration."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from lightning import LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from omegaconf import DictConfig

from leyden.cli.ranks import RankTask, given_ranks, num_ranks, run_ranks
from leyden.cli.start import Origin, Relocation, WarmStart
from leyden.cli.summary import Outcome, summarize
from leyden.cli.tentative import ConfirmStart, tentative_start
from leyden.cli.tracking import ParameterLog, concluded
from leyden.config import (
    Sources,
    build,
    build_data,
    build_group,
    check_config,
    config_digest,
    plain_config,
    save_config,
)
from leyden.errors import ConfigError
from leyden.resume.checkpoints import FolderLock, num_steps
from leyden.runs import RunDir, RunManifest, keep_code
from leyden.tracking import tolerate

__all__ = [
    "Training",
    "fit_and_test",
    "prepare",
    "train",
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Training:
    """Everything that a run is made of.

    Args:
        config: Its resolved configuration, in plain containers.
        data: Its data module.
        model: Its module.
        trainer: What trains it.
        checkpoint: What it goes on from, if anything.
    """

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
            check_config(plain, Sources.of(HydraConfig.get()))
        training = prepare(config, origin)
        ranks = num_ranks(training.trainer)
        if ranks == 1:  # else it is the first of the processes that tells them
            tracking.enter_context(concluded(run_dir, training.trainer))
        path = _keep_config(config, run_dir, origin, stack)
        if not is_job:
            stack.enter_context(manifest)
        done = 0 if training.checkpoint is None else num_steps(training.checkpoint)
        manifest.note_start(config=path.name, step=done)
        _keep_code(run_dir, training.config, manifest)
        mode = getattr(training.trainer.checkpoint_callback, "mode", "min")

        def keep(outcome: Outcome) -> None:
            manifest.add_results(outcome.results)
            manifest.set_objective(outcome.objective, higher_is_better=mode == "max")

        if ranks > 1:
            outcome = _train_on_ranks(training.config, origin, ranks, keep)
        else:
            outcome = fit_and_test(training, keep)
    summarize(run_dir, outcome, time.perf_counter() - began)
    return outcome.objective


def _keep_config(
    config: DictConfig, run_dir: RunDir, origin: Origin | None, stack: ExitStack
) -> Path:
    """Keep the configuration of this start; until a run has gone on with it, tentatively."""
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    path = save_config(config, run_dir.config_dir / f"{stamp}.yaml")
    if origin is not None and _goes_on(run_dir, origin):
        stack.enter_context(tentative_start(run_dir, path))
    return path


def _keep_code(run_dir: RunDir, config: Mapping[str, Any], manifest: RunManifest) -> None:
    """Keep the code of the run; what cannot be kept is told, and no reason to stop."""
    project, runs = config.get("code_dir"), config.get("runs_dir", "runs")
    if project is None:
        return
    facts, problems = keep_code(run_dir, Path(project), exclude=[Path(runs)])
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
        **given_ranks(config),
    )
    model = build(config, "model")
    checkpoint = None if origin is None or is_warm else origin.checkpoint
    return Training(plain_config(config), data, model, trainer, checkpoint)


def _starting(origin: Origin | None, run_dir: RunDir, *, is_warm: bool) -> list[Callback]:
    if origin is None:
        return []
    return [WarmStart(origin.checkpoint) if is_warm else Relocation(origin, run_dir)]


def fit_and_test(training: Training, keep: Callable[[Outcome], Any]) -> Outcome:
    """Train, validate and test.

    Args:
        training: Everything that the run is made of.
        keep: Told what came out of the training, and again after the test.
    """
    trainer, had_group = training.trainer, _has_group()
    confirmation = ConfirmStart(RunDir(Path(training.config["run_dir"])))
    trainer.callbacks.append(confirmation)  # type: ignore[attr-defined] # set outside its class
    try:
        trainer.fit(training.model, datamodule=training.data, ckpt_path=training.checkpoint)
        results = {name: value.item() for name, value in trainer.callback_metrics.items()}
        outcome = Outcome(results, _best_score(trainer), _best_path(trainer))
        keep(outcome)
        if training.config["test"] and _has(training.data, "test"):
            best = "best" if outcome.best else None
            # Fast runs keep no checkpoint; the test is of the weights as they are.
            (tested,) = trainer.test(
                training.model, datamodule=training.data, ckpt_path=best, verbose=False
            )
            results |= tested
            keep(outcome)
        return outcome
    finally:
        if _has_group() and not had_group:  # the next job of a sweep has one of its own
            torch.distributed.destroy_process_group()


def _has_group() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _train_on_ranks(
    config: Mapping[str, Any], origin: Origin | None, count: int, keep: Callable[[Outcome], Any]
) -> Outcome:
    """Have processes of their own train together; what came out before one fell is kept too."""
    with TemporaryDirectory(prefix="leyden-ranks-") as folder:
        task = RankTask(Path(folder))
        task.write(config, origin)
        try:
            run_ranks(task, count)
        finally:
            found = task.read_outcome()
            if found:
                keep(Outcome(**found))
        return Outcome(**found)


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

"""What a run has trained: its module, with the weights of one of its checkpoints."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import get_class
from lightning import LightningModule
from omegaconf import DictConfig

from leyden.cli.paths import is_sweep
from leyden.cli.start import first_misfit, newest_checkpoint
from leyden.config import build, load_saved_config
from leyden.errors import MissingPathError, ResumeError, suggest, suggest_beside
from leyden.modules import SupervisedModule
from leyden.resume import load
from leyden.runs import RunDir

__all__ = ["Trained", "check_run", "find_checkpoint", "load_trained"]

_FROM_DATA = ("input_shape", "num_classes", "output_shape", "class_weights")


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run has trained.

    Args:
        run: The run.
        config: Its configuration.
        checkpoint: The file of the weights.
        state: What is in that file.
        module: The module, with the weights.
    """

    run: RunDir
    config: DictConfig
    checkpoint: Path
    state: dict[str, Any]
    module: LightningModule


def check_run(path: Path) -> RunDir:
    """Make sure that a folder is that of a run.

    Raises:
        MissingPathError: If it is not.
    """
    run = RunDir(path)
    if run.manifest_path.is_file():
        return run
    problem = f"Expected `RUN` to be the folder of a run, but got {str(path)!r}"
    if is_sweep(path):
        raise MissingPathError(f"{problem}, a sweep. Name one of its jobs: {path}/<job>.")
    if path.is_dir():
        raise MissingPathError(f"{problem}, which has no {run.manifest_path.name}.")
    if path.exists():
        raise MissingPathError(f"{problem}, which is a file.")
    raise MissingPathError(f"{problem}, which does not exist. {suggest_beside(path)}")


def find_checkpoint(run: RunDir, name: str) -> Path:
    """Find a checkpoint of a run.

    Args:
        run: The run.
        name: ``"best"``, for which the newest one does where there is no best; ``"last"``, the
            newest good one; the name of a file in its folder; or a path.

    Raises:
        MissingPathError: If there is none.
    """
    if name == "best" and run.best_path.is_file():
        return run.best_path
    if name in ("best", "last"):
        path, problems = newest_checkpoint(run)
        if path is None:
            reason = f"has no good one. {problems}" if problems else "has none."
            raise MissingPathError(
                f"Expected a checkpoint in {str(run.checkpoints_dir)!r}, which {reason}"
            )
        return path
    for path in (run.checkpoints_dir / name, run.checkpoints_dir / f"{name}.ckpt", Path(name)):
        if path.is_file():
            return path
    known = ["best", "last", *(path.name for path in run.checkpoints_dir.glob("[!.]*.ckpt"))]
    problem = f"Expected `checkpoint` to be one of the run, or a file, but got {name!r}."
    raise MissingPathError(f"{problem} {suggest(name, known)}")


def load_trained(path: Path, checkpoint: str = "best") -> Trained:
    """Make the module of a run, with the weights of a checkpoint; its data is not needed.

    Args:
        path: The folder of the run.
        checkpoint: See ``find_checkpoint``.

    Raises:
        MissingPathError: If there is no such run, or no such checkpoint.
        ResumeError: If the checkpoint is broken, or does not fit the model.
        ConfigError: If the model cannot be made.
    """
    run = check_run(path)
    config, chosen = load_saved_config(run), find_checkpoint(run, checkpoint)
    state = load(chosen)
    weights = state.get("state_dict")
    if not isinstance(weights, dict):
        problem = f"Expected a checkpoint of a model, but got {str(chosen)!r}"
        raise ResumeError(f"{problem}, which has no weights. Use another one.")
    module = build(config, "model", **_known_sizes(config, state))
    module.configure_model()
    module.on_load_checkpoint(state)
    try:
        module.load_state_dict(weights, strict=module.strict_loading)
    except RuntimeError as error:
        raise ResumeError(
            f"Expected the weights in {str(chosen)!r} to fit the model, but got: "
            f"{first_misfit(error)} Use a checkpoint of this run."
        ) from error
    return Trained(run, config, chosen, state, module)


def _known_sizes(config: DictConfig, state: dict[str, Any]) -> dict[str, Any]:
    """Look up what the module took from the data when it was trained."""
    kind = get_class(str(config.model.get("_target_")))
    if not issubclass(kind, SupervisedModule):
        return {}
    saved, takes = state.get("hyper_parameters", {}), inspect.signature(kind).parameters
    return {name: saved[name] for name in _FROM_DATA if name in takes and name in saved}

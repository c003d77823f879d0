"""Where a run starts: from nothing, where it was left, or from another one's checkpoint."""

import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from leyden.callbacks.exact_resume import STATE_KEY
from leyden.cli.paths import is_sweep
from leyden.config import load_saved_config, saved_run_dirs
from leyden.errors import MissingPathError, ResumeError, suggest_beside
from leyden.resume import latest_checkpoint, load
from leyden.runs import RunDir, RunStatus, read_run, relocate, run_of

__all__ = [
    "Origin",
    "Relocation",
    "WarmStart",
    "find_origin",
    "first_misfit",
    "is_done",
    "newest_checkpoint",
]

_LIMITS = ("max_epochs", "max_steps", "max_time")


@dataclass(frozen=True, slots=True)
class Origin:
    """A checkpoint to start from.

    Args:
        checkpoint: The file.
        run: The run it belongs to, if it lies in one.
    """

    checkpoint: Path
    run: RunDir | None


def find_origin(resume: str | os.PathLike[str]) -> Origin:
    """Find what ``resume=`` names.

    Args:
        resume: The folder of a run, for its newest good checkpoint; or a checkpoint.

    Raises:
        MissingPathError: If there is no such file or folder.
        ResumeError: If the folder has no good checkpoint, or the file is broken.
    """
    path = Path(resume)
    if path.is_dir():
        run = RunDir(path)
        return Origin(_newest(run), run)
    if not path.exists():
        problem = f"Expected `resume` to be a run folder or a checkpoint, but got {str(path)!r}"
        raise MissingPathError(f"{problem}, which does not exist. {suggest_beside(path)}")
    load(path)  # what is broken is said now, not when everything is set up
    return Origin(path, run_of(path))


def newest_checkpoint(run: RunDir) -> tuple[Path | None, str]:
    """Find the newest good checkpoint of a run.

    Returns:
        Its path, or ``None`` if there is none; and what is wrong with newer ones, if anything is.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        path = latest_checkpoint(run.checkpoints_dir)
    return path, " ".join(str(warning.message) for warning in caught)


def _newest(run: RunDir) -> Path:
    path, problems = newest_checkpoint(run)
    if path is not None:
        if problems:
            warnings.warn(problems, stacklevel=2)
        return path
    problem = f"Expected `resume` to be a run with a checkpoint, but got {str(run.path)!r}"
    if is_sweep(run.path):
        raise ResumeError(f"{problem}, a sweep. Run the command of the sweep again.")
    reason = f"which has no good one. {problems}" if problems else "which has none."
    raise ResumeError(f"{problem}, {reason}".strip())


def is_done(run: RunDir, config: Mapping[str, Any]) -> bool:
    """Say whether a run is finished, and not asked to train longer than it was.

    Args:
        run: The run.
        config: The configuration with which it is started again.
    """
    if not run.manifest_path.exists():
        return False
    if read_run(run)["status"] != RunStatus.FINISHED:
        return False
    old, new = load_saved_config(run).get("trainer", {}), config.get("trainer", {})
    return all(_reaches(old.get(name), new.get(name)) for name in _LIMITS)


def _reaches(old: Any, new: Any) -> bool:
    """Say whether what ended at one limit need not go on to reach another."""
    if old == new:
        return True
    return isinstance(old, int) and isinstance(new, int) and 0 <= new <= old


class Relocation(Callback):
    """Have a checkpoint speak of the folder in which the run goes on.

    It may have been written in another one, or the folder may have been moved.

    Best checkpoints and the ledger of another run are copied: its folder may be removed.

    Args:
        origin: What is loaded.
        run: The run that goes on.
    """

    def __init__(self, origin: Origin, run: RunDir) -> None:
        super().__init__()
        self._origin, self._run = origin, run

    @override
    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        source = self._origin.run
        if source is None or trainer.state.fn != "fit":
            return
        here, there = self._run.path.absolute(), source.path.absolute()
        for old in _with_real_paths(saved_run_dirs(source)):
            _relocate_state(checkpoint, old, there)
        if not here.samefile(there):
            files = [Path(text) for text in _texts(checkpoint["callbacks"]) if str(there) in text]
            for path in (path for path in files if path.is_file() and there in path.parents):
                target = here / path.relative_to(there)
                target.parent.mkdir(exist_ok=True)
                if trainer.is_global_zero:
                    shutil.copy2(path, target)
            checkpoint["callbacks"] = relocate(checkpoint["callbacks"], there, here)


def _relocate_state(checkpoint: dict[str, Any], old: str, new: Path) -> None:
    checkpoint["callbacks"] = relocate(checkpoint["callbacks"], old, new)
    if STATE_KEY in checkpoint:
        state = checkpoint[STATE_KEY]
        state["loggers"] = relocate(state["loggers"], old, new)


def _with_real_paths(folders: list[str]) -> list[str]:
    """Lightning writes down where links lead to."""
    return sorted({*folders, *map(os.path.realpath, folders)})


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _texts(key)
            yield from _texts(child)
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _texts(child)


class WarmStart(Callback):
    """Begin a training with the weights and the state of the optimizers of another one.

    Counting, the order of batches and the schedules begin anew, and what the configuration says of
    the optimizers, such as the learning rate, is used.

    Args:
        checkpoint: What is loaded.

    Raises:
        ResumeError: When the training begins, if the model or the optimizers are others.
    """

    def __init__(self, checkpoint: Path) -> None:
        super().__init__()
        self._path = checkpoint

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        checkpoint = load(self._path)
        optimizers = checkpoint.get("optimizer_states", [])
        if [_sizes(one) for one in optimizers] != [
            _sizes(one.state_dict()) for one in trainer.optimizers
        ]:
            raise ResumeError(
                f"Expected the optimizers of {str(self._path)!r} to be those of this model, but "
                "they have other parameters. Use the model of the checkpoint."
            )
        try:
            trainer.strategy.load_model_state_dict(checkpoint, strict=pl_module.strict_loading)
        except RuntimeError as error:
            raise ResumeError(
                f"Expected the weights in {str(self._path)!r} to fit the model, but got: "
                f"{first_misfit(error)} Use the model of the checkpoint."
            ) from error
        for saved, optimizer in zip(optimizers, trainer.optimizers, strict=True):
            saved["param_groups"] = optimizer.state_dict()["param_groups"]
        trainer.strategy.load_optimizer_state_dict(checkpoint)


def first_misfit(error: RuntimeError) -> str:
    """Take of what torch says about weights that do not fit the first that does not.

    Args:
        error: What ``load_state_dict`` raised: a title, and a line for each.
    """
    first, *_ = [*str(error).splitlines()[1:], str(error)]
    return first.strip()


def _sizes(state: Mapping[str, Any]) -> list[int]:
    return [len(group["params"]) for group in state["param_groups"]]

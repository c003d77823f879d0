"""An evaluation of a run: made with its model, or looked up and given more metrics."""

import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import get_class
from lightning import LightningModule
from lightning.pytorch.loggers import Logger
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf, open_dict

from leyden.callbacks.exact_resume import STATE_KEY
from leyden.cli.paths import inside
from leyden.cli.start import newest_checkpoint
from leyden.cli.trained import Trained, check_run, find_checkpoint, load_trained
from leyden.config import build_data, build_group, load_saved_config
from leyden.data import AutoDataModule
from leyden.errors import ConfigError, DataError, MissingPathError, suggest_beside
from leyden.evaluation import (
    Evaluation,
    Method,
    Metrics,
    evaluate,
    find_evaluation,
    list_evaluations,
)
from leyden.evaluation.functions import choose_metrics
from leyden.incidents import quiet_lightning
from leyden.modules import SupervisedModule
from leyden.resume import continue_loggers, load
from leyden.runs import RunDir, RunStatus, read_manifest, standing
from leyden.shards.phases import has_phases, phase_folder
from leyden.tracking import ending, log_figure
from leyden.types import Phase

__all__ = ["Request", "evaluate_run", "find_or_make"]

_PLAIN: Mapping[str, Any] = {  # so that training rows come as they are, in their order
    "shuffle": "none",
    "augmentors": [],
    "class_weights": None,
    "window_weights": None,
    "drop_last": False,
}
_LEARNED = ("version", "preparation", "classes")  # of the data that was trained on
_NAMES = ("run_id", "experiment_id", "id", "name", "project", "step")  # of a run of MLflow or W&B
_PARTS = {"train": None, "val": None, "test": None, "predict": None}


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be evaluated, and by what.

    Args:
        run: The folder of a run, or of an evaluation.
        checkpoint: ``"best"``, ``"last"`` or a file; ``None`` for whichever, or the best.
        split: ``None`` for whichever, or the test part.
        metrics: Functions by name; ``None`` for those that suit.
        data: Other data, instead of that of the run.
        batch_size: Instead of that of the run.
        method: What of the module is called.
        anew: Whether the model runs although there are stored rows.
        accelerator: Of the trainer; ``None`` for the CPU if the run was trained on it, or else
            whatever is there.
    """

    run: Path
    checkpoint: str | None = None
    split: str | None = None
    metrics: Metrics | None = None
    data: Path | None = None
    batch_size: int | None = None
    method: Method = "auto"
    anew: bool = False
    accelerator: str | None = None


def evaluate_run(request: Request) -> tuple[Evaluation, bool]:
    """Evaluate a run.

    With metrics that are asked for, and stored rows that are what is asked for, functions are run
    over these, and the model is not needed.

    Returns:
        The evaluation, and whether the model was run.

    Raises:
        LeydenError: If something of the request does not exist, or does not fit.
    """
    choose_metrics(request.metrics or (), None)
    stored = _find_stored(request)
    made = stored or _make(request)
    run = RunDir(made.path.parents[2])
    figures: dict[str, Figure] = {}
    done = made.add_metrics(request.metrics or "auto", on_figure=figures.__setitem__)
    changed = {
        name: number
        for name, number in done.metrics.items()
        if number is not None and made.metrics.get(name) != number
    }
    if run.manifest_path.is_file():
        _log(run, done, changed, figures)
    return done, stored is None


def find_or_make(request: Request) -> Evaluation:
    """Find stored rows that are what is asked for, or have the model make them.

    Args:
        request: With ``metrics``, or the model runs; none of them is computed.

    Raises:
        LeydenError: If something of the request does not exist, or does not fit.
    """
    return _find_stored(request) or _make(request)


def _find_stored(request: Request) -> Evaluation | None:
    """Look for rows that are what is asked for; ``None`` if the model has to run."""
    if (request.run / "metrics.json").is_file():
        changes = (request.checkpoint, request.split, request.data, request.batch_size)
        if request.anew or any(changes):
            problem = "Expected the folder of a run to evaluate its model, but got an evaluation"
            raise ConfigError(f"{problem}. Name the run, or leave out all but `metrics`.")
        return find_evaluation(request.run)
    run = check_run(request.run)
    if request.metrics is None or request.anew:
        return None
    checkpoint = request.checkpoint and inside(run, find_checkpoint(run, request.checkpoint))
    wanted = {
        "split": request.split,
        "checkpoint": checkpoint,
        "data": None if request.data is None else str(request.data.absolute()),
    }
    for one in reversed(list_evaluations(run.path)):
        given = {name: value for name, value in wanted.items() if value is not None}
        # Rows of other data are meant only if that data is named.
        if one.facts.get("data") == wanted["data"] and given.items() <= one.facts.items():
            return one
    return None


def _make(request: Request) -> Evaluation:
    with quiet_lightning():
        trained = load_trained(request.run, request.checkpoint or "best")
        split = request.split or Phase.TEST.value
        data, phase, name = _data(trained, request, split)
        _check_shape(trained.module, data)
        _check_columns(trained, data)
        settings = trained.config.get("trainer", {})
        is_on_cpu = settings.get("accelerator") == "cpu"
        return evaluate(
            trained.module,
            data,
            trained.run,
            split=phase,
            method=request.method,
            metrics=(),
            global_step=int(trained.state.get("global_step", 0)),
            facts={
                "split": name,
                "checkpoint": inside(trained.run, trained.checkpoint),
                "data": None if request.data is None else str(request.data.absolute()),
            },
            trainer={
                "accelerator": request.accelerator or ("cpu" if is_on_cpu else "auto"),
                "precision": settings.get("precision"),
                "enable_progress_bar": sys.stderr.isatty(),
            },
        )


def _data(trained: Trained, request: Request, split: str) -> tuple[Any, str, str]:
    """Make the data module; say which of its parts is meant, and what it is called."""
    config = trained.config.copy()
    is_ours = issubclass(get_class(str(config.data.get("_target_"))), AutoDataModule)
    phase, name = split, split
    if is_ours:
        _change(config, _PLAIN)
    if request.data is not None:
        if not request.data.exists():
            problem = f"Expected `data` to be a folder or a file, but got {str(request.data)!r}"
            raise MissingPathError(
                f"{problem}, which does not exist. {suggest_beside(request.data)}"
            )
        if not is_ours:
            problem = "Expected a run on an `AutoDataModule` to evaluate it on other data"
            raise ConfigError(f"{problem}, but got {config.data.get('_target_')}.")
        phase, name = _point_to(config, request.data, split)
    if request.batch_size is not None:
        if "batch_size" not in config.data:
            raise ConfigError("Expected data with a `batch_size` to change it, but it has none.")
        _change(config, {"batch_size": request.batch_size})
    data = build_data(config)
    state = trained.state.get(type(data).__qualname__)
    if state and is_ours:
        kept = {key: state[key] for key in _LEARNED if key in state}
        data.load_state_dict(kept)
    elif state:
        data.load_state_dict(state)
    data.prepare_data()
    return data, phase, name


def _change(config: DictConfig, settings: Mapping[str, Any]) -> None:
    with open_dict(config.data):
        for name, value in settings.items():
            OmegaConf.update(config, f"data.{name}", value, merge=False)


def _point_to(config: DictConfig, path: Path, split: str) -> tuple[str, str]:
    """Have the data be another folder: its part of that name, or all of it."""
    own_part = phase_folder(path, Phase(split)) if split in set(Phase) else None
    labels = config.data.get("labels", "auto")
    kept = labels if labels in ("auto", "inputs", None) else "auto"  # a path is of the run's data
    has_parts = has_phases(path)
    place = own_part or path
    _change(config, {**_PARTS, "path": str(place), "labels": kept})
    if has_parts and place == path:
        return split, split  # which is answered with what there is
    return Phase.TRAIN.value, split if has_parts else "all"


def _check_shape(module: LightningModule, data: Any) -> None:
    """Refuse rows that are not like those the model was made for."""
    if not isinstance(module, SupervisedModule) or not isinstance(data, AutoDataModule):
        return
    expected = _plain(module.hparams["input_shape"])
    problem = f"Expected rows of shape {expected}, as the model was trained on"
    try:
        found = _plain(data.sample_shape)
    except DataError as error:  # the preprocessors are those of the run
        raise DataError(
            f"{problem}, but its preprocessors refuse those there are: {error}"
        ) from error
    if found != expected:
        raise DataError(f"{problem}, but got {found}. Name data of the same kind.")


def _check_columns(trained: Trained, data: Any) -> None:
    """Refuse tables whose columns are not those that the model was trained on, one by one."""
    expected = trained.state.get(AutoDataModule.__qualname__, {}).get("columns")
    found = data.catalogs[Phase.TRAIN].column_names if isinstance(data, AutoDataModule) else None
    if expected is not None and found is not None and list(found) != list(expected):
        problem = f"Expected the columns that were trained on, {', '.join(expected)}"
        raise DataError(f"{problem}, but got {', '.join(found)}. Put them in that order.")


def _plain(shape: Any) -> Any:
    if isinstance(shape, Mapping):
        return {name: tuple(part) for name, part in shape.items()}
    return tuple(shape)


def _log(
    run: RunDir, done: Evaluation, numbers: Mapping[str, float], figures: Mapping[str, Figure]
) -> None:
    """Tell the loggers of the run; what one of them cannot take is kept in the run all the same."""
    if not numbers and not figures:
        return
    if standing(read_manifest(run.manifest_path)) is RunStatus.RUNNING:
        print("The run is going on: its loggers are left to it.", file=sys.stderr)
        return
    prefix, step = f"evaluation/{done.facts['split']}", int(done.facts["global_step"])
    for logger in _loggers(run):
        try:
            with ending([logger]):
                if numbers:
                    named = {f"{prefix}/{name}": number for name, number in numbers.items()}
                    logger.log_metrics(named, step)
                for name, figure in figures.items():
                    log_figure([logger], f"{prefix}/{name}", figure, step)
        except Exception as error:  # noqa: BLE001 - whatever a tracker does, nothing is lost
            kind, reason = type(logger).__name__, " ".join(str(error).split())
            print(f"{kind} did not take the metrics: {reason}", file=sys.stderr)


def _loggers(run: RunDir) -> list[Logger]:
    """Make the loggers of a run; trackers of runs of their own go on in the one they have begun."""
    loggers: list[Logger] = list(build_group(load_saved_config(run), "tracking").values())
    newest, _ = newest_checkpoint(run)
    exact = {} if newest is None else load(newest).get(STATE_KEY, {})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Expected the loggers to be those of the checkpoint")
        continue_loggers(loggers, [_whose_run(state) for state in exact.get("loggers", ())])
    return loggers


def _whose_run(state: dict[str, Any]) -> dict[str, Any]:
    """Keep of a logger's state what names its run; rows that came later are to stay."""
    kept = {name: state["state"][name] for name in _NAMES if name in state.get("state", {})}
    return {"class": state["class"], **({"state": kept} if kept else {})}

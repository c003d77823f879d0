"""Lightning loggers by name, and what they are told of a run."""

import json
import logging
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from leyden.errors import ConfigError
from leyden.experiment.specs import Tracking
from leyden.files import replacing
from leyden.recipes import build
from leyden.runs import RunDir, keep_code
from leyden.tracking import (
    FileLogger,
    MLflowTracker,
    TensorBoardTracker,
    WandbTracker,
    ending,
    tolerate,
)

_log = logging.getLogger(__name__)

__all__ = ["TRACKERS", "FileTracker", "Place", "tracking_run"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tracker puts a run.

    Args:
        tracking_dir: The folder of all.
        run_id: Name of the run.
        tags: Words by name that describe it.
    """

    tracking_dir: Path
    run_id: str
    tags: Mapping[str, str]


class FileTracker(FileLogger):
    """Log metrics to ``metrics.csv``, and parameters to ``config/params.json`` beside it."""

    def __init__(self, run_dir: str | Path) -> None:
        super().__init__(run_dir)
        self._params: dict[str, Any] = {}

    @override
    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Write parameters down, beside those that were told before."""
        told = vars(params) if isinstance(params, Namespace) else params
        self._params |= told or {}
        text = json.dumps(self._params, indent=1, default=str) + "\n"
        with replacing(RunDir(Path(self.log_dir)).config_dir / "params.json") as temporary:
            temporary.write_text(text, encoding="utf-8")


def _csv(place: Place) -> Logger:
    return FileTracker(place.tracking_dir / "csv" / place.run_id)


def _tensorboard(place: Place, **settings: Any) -> Logger:
    return TensorBoardTracker(place.tracking_dir, **({"version": place.run_id} | settings))


def _mlflow(place: Place, **settings: Any) -> Logger:
    known: dict[str, Any] = {"folder": place.tracking_dir, "tags": dict(place.tags)}
    return MLflowTracker(place.tracking_dir / place.run_id, **(known | settings))


def _wandb(place: Place, **settings: Any) -> Logger:
    tags = [f"{name}={value}" for name, value in place.tags.items()]
    known: dict[str, Any] = {"save_dir": place.tracking_dir, "tags": tags}
    return WandbTracker(place.tracking_dir / place.run_id, **(known | settings))


TRACKERS: Mapping[str, Callable[..., Logger]] = MappingProxyType(
    {"csv": _csv, "mlflow": _mlflow, "tensorboard": _tensorboard, "wandb": _wandb}
)
"""What makes the tracker of each short name, for a place."""


@contextmanager
def tracking_run(
    tracking: Tracking, *, model_params: Mapping[str, Any], training_params: Mapping[str, Any]
) -> Iterator[list[Logger]]:
    """Tell trackers of a run, from its parameters to its end; one that fails is left alone.

    Args:
        tracking: Which trackers, and what they are told.
        model_params: Arguments of the model.
        training_params: Those of the training.

    Yields:
        The trackers that metrics go to.

    Raises:
        ConfigError: If a tracker is not known.
        MissingExtraError: If the package of one is not installed.
    """
    place = Place(Path(tracking.tracking_dir), tracking.run_id or uuid4().hex, tracking.tags or {})
    loggers = [_make(tracker, place) for tracker in tracking.trackers]
    params: dict[str, Any] = dict(model_params) if tracking.log_model_params else {}
    params |= training_params if tracking.log_training_params else {}
    params |= {"tags": dict(tracking.tags)} if tracking.tags else {}
    for logger in loggers if params else ():
        logger.log_hyperparams(params)
    ours = [
        logger
        for tracker, logger in zip(tracking.trackers, loggers, strict=True)
        if tracker is not logger
    ]
    for logger in loggers if tracking.code_dir is not None else ():
        _keep_code(logger, tracking)
    with ending(loggers, ours=ours):
        yield loggers if tracking.log_metrics else []


def _keep_code(logger: Logger, tracking: Tracking) -> None:
    """Keep the code of a run beside its metrics; what cannot be kept is no reason to stop."""
    if isinstance(logger, FileTracker) and tracking.code_dir is not None:
        run, folder = RunDir(Path(logger.log_dir)), Path(tracking.code_dir)
        _, problems = keep_code(run, folder, exclude=[Path(tracking.tracking_dir)])
        if problems:
            _log.warning(" ".join(problems))


def _make(tracker: Any, place: Place) -> Logger:
    if isinstance(tracker, Logger):
        return tolerate(tracker)
    name = tracker.get("type") if isinstance(tracker, Mapping) else tracker
    arguments = [place] if name in TRACKERS else []
    made = build(tracker, TRACKERS, *arguments, what="trackers")
    if not isinstance(made, Logger):
        problem = "Expected `trackers` to be Lightning loggers"
        raise ConfigError(f"{problem}, but got {type(made).__qualname__} of {tracker!r}.")
    return tolerate(made)

"""Loggers that go on where a checkpoint was written.

When a run is resumed, what its loggers hold of the time after the checkpoint is logged again, with
the same values. So it is cut off first, where a logger can do that. Lightning has by then begun
another folder or another run, because it does so before anybody can know of a checkpoint.

Any logger with ``state_dict`` and ``load_state_dict`` takes part; those of Lightning are known by
name, so that nothing is imported for a logger that is not used.
"""

import os
import shutil
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any
from weakref import WeakKeyDictionary

from lightning.pytorch.loggers import Logger

from leyden.errors import ResumeError
from leyden.resume.loggers.folders import (
    continue_csv,
    continue_tensorboard,
    csv_state,
    tensorboard_state,
)
from leyden.resume.loggers.internals import adopt_wandb_run
from leyden.resume.loggers.mlflow import continue_mlflow, mlflow_state
from leyden.types import Tolerant

__all__ = ["continue_loggers", "logger_states"]


@dataclass(frozen=True, slots=True)
class _Way:
    """How loggers of one class say where they stand, and get back there."""

    state: Callable[[Any], dict[str, Any]]
    go_on: Callable[[Any, dict[str, Any]], None]
    has_place: bool = True  # Lightning derives the folder of checkpoints from it


_LAST: WeakKeyDictionary[Logger, dict[str, Any]] = WeakKeyDictionary()  # of those that may fail


def logger_states(loggers: Iterable[Logger]) -> list[dict[str, Any]]:
    """Say where loggers stand, so that they can be brought back there.

    To be called at a boundary, on rank zero. What was logged before is then safe from the end of
    the process: it is in the state, or handed to the file or program that keeps it.

    Args:
        loggers: Those of the trainer.

    Returns:
        For each one its class, and its state if it is known how to continue it; strings, numbers,
        lists and dictionaries only.

    Example:
        >>> from lightning.pytorch.loggers import CSVLogger
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     logger = CSVLogger(folder)
        ...     logger.log_metrics({"loss": 0.5}, step=0)
        ...     logger_states([logger])[0]["state"]["pending"]
        [{'loss': 0.5, 'step': 0}]
    """
    return [_state(logger) for logger in loggers]


def continue_loggers(loggers: Iterable[Logger], states: list[dict[str, Any]]) -> dict[str, str]:
    """Bring loggers back to where they stood, and cut off what they hold of the time after that.

    To be called on rank zero, once their experiments exist and before anything is logged. Loggers
    are matched by position and class; there is one warning for all that have no counterpart, and
    one for each that cannot be brought back, which goes on where it is.

    Args:
        loggers: Those of the trainer.
        states: What `logger_states` returned, perhaps in another process.

    Returns:
        For loggers that had begun somewhere else, that folder and the one that they are back in,
        both as ``save_dir/name/version``, where Lightning puts checkpoints unless told otherwise.
        Without a ``save_dir``, they are relative to the trainer's ``default_root_dir``.
    """
    moved: dict[str, str] = {}
    lonely: list[str] = []
    for position, (logger, state) in enumerate(zip_longest(loggers, states)):
        kind, way = _kind(logger) if logger is not None else ("nothing", None)
        before = state["class"] if state else "nothing"
        if kind == before and way is not None and "state" in state:
            moved |= _continue(logger, way, state["state"])
        elif kind != before and (way is not None or "state" in (state or {})):
            lonely.append(f"{position}: {before} then, {kind} now")
    if lonely:
        warnings.warn(
            "Expected the loggers to be those of the checkpoint, but got others; these are left "
            f"alone. {'; '.join(lonely)}.",
            stacklevel=2,
        )
    return moved


def _state(logger: Logger) -> dict[str, Any]:
    kind, way = _kind(logger)
    if way is None:
        return {"class": kind}
    if not isinstance(logger, Tolerant):
        return {"class": kind, "state": way.state(logger)}
    state = logger.attempt(lambda: way.state(logger))
    if state is not None:
        _LAST[logger] = state
    # One that has failed stands where it stood last, for a later start in which it works.
    return {"class": kind, "state": _LAST[logger]} if logger in _LAST else {"class": kind}


def _continue(logger: Logger, way: _Way, state: dict[str, Any]) -> dict[str, str]:
    if not isinstance(logger, Tolerant):
        return _go_on(logger, way, state)
    _LAST[logger] = state
    return logger.attempt(lambda: _go_on(logger, way, state)) or {}


def _go_on(logger: Logger, way: _Way, state: dict[str, Any]) -> dict[str, str]:
    before = _place(logger) if way.has_place else ""
    try:
        way.go_on(logger, state)
    except ResumeError as error:
        warnings.warn(str(error), stacklevel=3)
    after = _place(logger) if way.has_place else ""
    return {} if before == after else {before: after}


def _place(logger: Logger) -> str:
    version = logger.version if isinstance(logger.version, str) else f"version_{logger.version}"
    return os.path.join(logger.save_dir or "", str(logger.name), version)  # noqa: PTH118  # as Lightning does


def _kind(logger: Logger) -> tuple[str, _Way | None]:
    """Name the class that tells how to continue a logger, and the way."""
    names = [f"{cls.__module__}.{cls.__qualname__}" for cls in type(logger).__mro__]
    if callable(getattr(type(logger), "load_state_dict", None)):
        return names[0], _OWN_WAY
    known = next((name for name in names if name in _WAYS), None)
    return (names[0], None) if known is None else (known, _WAYS[known])


def _wandb_state(logger: Any) -> dict[str, Any]:
    run = logger.experiment
    if run.disabled:
        return {}
    return {"id": run.id, "name": run.name or "", "project": logger.name, "step": run.step}


def _continue_wandb(logger: Any, state: dict[str, Any]) -> None:
    """Go on in the old run; rows that it holds of the time after stay, for nothing removes them.

    Raises:
        ResumeError: If the run that has begun holds rows, so that it is somebody's.
    """
    run = logger.experiment
    if run.disabled or not state:
        return
    if run.id != state["id"]:
        if run.step > 0:
            raise ResumeError(
                f"Expected the W&B run to be {state['id']!r} or without rows, but got {run.id!r} "
                f"with {run.step}. It goes on."
            )
        folder = run.settings.sync_dir if run.offline else None
        run.finish()
        if folder is not None:
            shutil.rmtree(folder)
        adopt_wandb_run(logger, run_id=state["id"], name=state["name"])
    if logger.experiment.step < state["step"]:  # offline it begins at zero
        logger.experiment.log({}, step=state["step"])


_OWN_WAY = _Way(
    lambda logger: logger.state_dict(),
    lambda logger, state: logger.load_state_dict(state),
    has_place=False,
)
_WAYS = {
    "lightning.pytorch.loggers.csv_logs.CSVLogger": _Way(csv_state, continue_csv),
    "lightning.pytorch.loggers.mlflow.MLFlowLogger": _Way(mlflow_state, continue_mlflow),
    "lightning.pytorch.loggers.tensorboard.TensorBoardLogger": _Way(
        tensorboard_state, continue_tensorboard
    ),
    "lightning.pytorch.loggers.wandb.WandbLogger": _Way(_wandb_state, _continue_wandb),
}

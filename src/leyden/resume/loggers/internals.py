"""The one place that knows the private parts of Lightning's loggers.

A logger of Lightning chooses its folder or its run once, before anybody can know that a checkpoint
will be loaded; to take the choice back, the attributes named below are needed. Each is named once,
and has a test that fails when a release of Lightning moves it.
"""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from leyden.files import replacing

__all__ = [
    "adopt_mlflow_run",
    "adopt_wandb_run",
    "reopen_events",
    "rewrite_safely",
    "use_version",
]

_VERSION = "_version"  # CSVLogger, TensorBoardLogger
_EXPERIMENT = "_experiment"  # TensorBoardLogger, WandbLogger
_WRITER_OPTIONS = "_kwargs"  # TensorBoardLogger
_REWRITE = "_rewrite_with_new_header"  # what CSVLogger calls its experiment
_INIT_OPTIONS = "_wandb_init"  # WandbLogger
_RUN_NAME = "_id"  # WandbLogger
_RUN_ID = "_run_id"  # MLFlowLogger
_IS_READY = "_initialized"  # MLFlowLogger


def use_version(logger: Logger, version: int | str) -> None:
    """Have a logger that numbers its folders name this one from now on."""
    setattr(logger, _VERSION, version)


def rewrite_safely(writer: Any) -> None:
    """Have the file of a ``CSVLogger`` replaced, not overwritten, when it gets a new column.

    Lightning empties the file before it writes the wider rows; a process that is killed in between
    would lose them all. With this, whatever has once been in the file stays in it.

    Args:
        writer: The logger's ``experiment``; nothing happens the second time.
    """
    if _REWRITE not in vars(writer):
        setattr(writer, _REWRITE, partial(_rewrite, writer, getattr(writer, _REWRITE)))


def _rewrite(writer: Any, rewrite: Callable[[list[str]], None], fieldnames: list[str]) -> None:
    path = writer.metrics_file_path
    with replacing(Path(path)) as temporary:
        shutil.copyfile(path, temporary)
        try:
            writer.metrics_file_path = str(temporary)
            rewrite(fieldnames)
        finally:
            writer.metrics_file_path = path


def reopen_events(logger: Logger, *, purge_step: int) -> None:
    """Have a ``TensorBoardLogger`` begin another file of events where it logs now.

    Args:
        logger: Its writer is closed.
        purge_step: Told to readers in the file's first event: they forget what they have read of
            this step and later ones.
    """
    options = getattr(logger, _WRITER_OPTIONS)
    try:
        setattr(logger, _EXPERIMENT, None)
        setattr(logger, _WRITER_OPTIONS, {**options, "purge_step": purge_step})
        _ = logger.experiment  # type: ignore[attr-defined]  # loggers that have none do not come here
    finally:
        setattr(logger, _WRITER_OPTIONS, options)


def adopt_wandb_run(logger: Logger, *, run_id: str, name: str) -> None:
    """Have a ``WandbLogger``, whose run is finished, begin a run with this identity.

    Args:
        logger: The logger.
        run_id: The identity.
        name: Its name for people, unless the logger was given one.
    """
    options = getattr(logger, _INIT_OPTIONS)
    options |= {"id": run_id, "resume": "allow", "name": options["name"] or name or None}
    setattr(logger, _RUN_NAME, run_id)
    setattr(logger, _EXPERIMENT, None)
    _ = logger.experiment  # type: ignore[attr-defined]  # as above


def adopt_mlflow_run(logger: Logger, run_id: str) -> None:
    """Have an ``MLFlowLogger`` go on in this run."""
    setattr(logger, _RUN_ID, run_id)
    setattr(logger, _IS_READY, False)
    _ = logger.experiment  # type: ignore[attr-defined]  # as above

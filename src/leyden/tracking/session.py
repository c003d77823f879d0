"""Trackers from the first word to the last."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers import Logger

from leyden.tracking.history import read_rows
from leyden.tracking.wandb import WandbTracker
from leyden.types import Tolerant

__all__ = ["ending", "send_metrics"]


@contextmanager
def ending(loggers: Sequence[Logger], *, ours: Iterable[Any] | None = None) -> Iterator[None]:
    """Tell loggers, at the end, how it went.

    Args:
        loggers: The loggers.
        ours: Those whose runs nobody else goes on with; all if ``None``.
    """
    status: Literal["success", "failed"] = "failed"
    try:
        yield
        status = "success"
    finally:
        ends = list(loggers if ours is None else ours)
        for logger in loggers:
            logger.finalize(status)
            if isinstance(logger, WandbTracker) and any(logger is one for one in ends):
                _finish(logger, status)


def _finish(logger: WandbTracker, status: str) -> None:
    if isinstance(logger, Tolerant):
        logger.attempt(lambda: logger.finish(status), anyway=True)  # or the next would go on in it
    else:
        logger.finish(status)


def send_metrics(path: str | Path, logger: Logger, *, after_step: int = -1) -> int:
    """Tell a logger what a run has written to its ``metrics.csv``.

    This is for a tracker that has missed something, because it failed or was not there; best into
    a run of its own, for trackers keep what they are told twice.

    Args:
        path: The ``metrics.csv``.
        logger: The logger.
        after_step: The last step that it has; ``-1`` for all of them.

    Returns:
        How many rows were sent.

    Raises:
        MissingPathError: If there is no such file.
        DataError: If it does not hold metrics.

    Example:
        >>> from leyden.tracking import FileLogger
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     logger = FileLogger(folder)
        ...     logger.log_metrics({"train/loss": 0.5}, step=0)
        ...     send_metrics(logger.metrics_path, FileLogger(Path(folder, "copy")))
        1
    """
    number = 0
    for step, metrics in read_rows(Path(path)):
        if step > after_step:
            logger.log_metrics(metrics, step)
            number += 1
    logger.save()
    return number

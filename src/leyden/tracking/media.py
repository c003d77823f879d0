"""Figures, images and files for the loggers that take them."""

import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import MLFlowLogger, WandbLogger

from leyden.types import Array, Tolerant

__all__ = ["log_figure", "log_file", "log_image", "takes_files"]


def log_figure(loggers: Iterable[Any], name: str, figure: Any, step: int) -> None:
    """Hand a figure to every logger that takes figures or images.

    Args:
        loggers: Loggers; one takes figures if it is a ``MLFlowLogger``, if it has
            ``log_figure(name, figure, step)``, if its ``experiment`` has ``add_figure``
            (TensorBoard), or if it has ``log_image`` (W&B).
        name: Its name.
        figure: A matplotlib figure.
        step: The step it belongs to.
    """

    def hand_over(logger: Any) -> None:
        if isinstance(logger, MLFlowLogger):
            logger.experiment.log_figure(logger.run_id, figure, f"figures/{name}-{step}.png")
        elif hasattr(logger, "log_figure"):
            logger.log_figure(name, figure, step)
        elif hasattr(logger, "log_image"):
            logger.log_image(name, [figure], step)
        elif hasattr(getattr(logger, "experiment", None), "add_figure"):
            logger.experiment.add_figure(name, figure, step, close=False)

    _for_each(loggers, hand_over)


def log_image(loggers: Iterable[Any], name: str, image: Array, step: int) -> None:
    """Hand an image to every logger that takes images.

    Args:
        loggers: Loggers; one takes images if it is a ``MLFlowLogger``, if it has ``log_image``
            (W&B), or if its ``experiment`` has ``add_image`` (TensorBoard).
        name: Its name.
        image: Colours from 0 to 255, ``(height, width, channels)``.
        step: The step it belongs to.
    """

    def hand_over(logger: Any) -> None:
        if isinstance(logger, MLFlowLogger):
            logger.experiment.log_image(logger.run_id, image, key=name, step=step)
        elif hasattr(logger, "log_image"):
            logger.log_image(name, [image], step)
        elif hasattr(getattr(logger, "experiment", None), "add_image"):
            logger.experiment.add_image(name, image, step, dataformats="HWC")

    _for_each(loggers, hand_over)


def log_file(loggers: Iterable[Any], path: Path, *, folder: str = "") -> None:
    """Hand a file to every logger that keeps files.

    Args:
        loggers: Loggers; one keeps files if it is a ``MLFlowLogger`` or a ``WandbLogger``, or if
            it has ``log_file(path, folder)``.
        path: The file; it is kept by its name, instead of an earlier one of that name.
        folder: Where the logger puts it among its files.
    """

    def hand_over(logger: Any) -> None:
        if isinstance(logger, MLFlowLogger):
            logger.experiment.log_artifact(logger.run_id, str(path), folder or None)
        elif isinstance(logger, WandbLogger):
            run = logger.experiment
            target = Path(run.dir, folder, path.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)  # `save` alone links to it, where it may not stay
            run.save(str(target), base_path=run.dir, policy="now")
        elif hasattr(logger, "log_file"):
            logger.log_file(path, folder)

    _for_each(loggers, hand_over)


def takes_files(logger: Any) -> bool:
    """Say whether a logger keeps files."""
    return isinstance(logger, MLFlowLogger | WandbLogger) or hasattr(logger, "log_file")


def _for_each(loggers: Iterable[Any], hand_over: Callable[[Any], None]) -> None:
    for logger in loggers:
        if isinstance(logger, Tolerant):
            logger.attempt(partial(hand_over, logger))
        else:
            hand_over(logger)

"""Figures and images for the loggers that take them."""

from collections.abc import Iterable
from typing import Any

from leyden.types import Array

__all__ = ["log_figure", "log_image"]


def log_figure(loggers: Iterable[Any], name: str, figure: Any, step: int) -> None:
    """Hand a figure to every logger that takes figures or images.

    Args:
        loggers: Loggers; one takes figures if it has ``log_figure(name, figure, step)``, if its
            ``experiment`` has ``add_figure`` (TensorBoard), or if it has ``log_image`` (W&B).
        name: Its name.
        figure: A matplotlib figure.
        step: The step it belongs to.
    """
    for logger in loggers:
        if hasattr(logger, "log_figure"):
            logger.log_figure(name, figure, step)
        elif hasattr(logger, "log_image"):
            logger.log_image(name, [figure], step)
        elif hasattr(getattr(logger, "experiment", None), "add_figure"):
            logger.experiment.add_figure(name, figure, step, close=False)


def log_image(loggers: Iterable[Any], name: str, image: Array, step: int) -> None:
    """Hand an image to every logger that takes images.

    Args:
        loggers: Loggers; one takes images if it has ``log_image`` (W&B), or if its ``experiment``
            has ``add_image`` (TensorBoard).
        name: Its name.
        image: Colours from 0 to 255, ``(height, width, channels)``.
        step: The step it belongs to.
    """
    for logger in loggers:
        if hasattr(logger, "log_image"):
            logger.log_image(name, [image], step)
        elif hasattr(getattr(logger, "experiment", None), "add_image"):
            logger.experiment.add_image(name, image, step, dataformats="HWC")

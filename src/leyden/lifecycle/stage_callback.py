"""The steps of an experiment from the data to the evaluation, and how long each takes."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from leyden.errors import ConfigError, suggest
from leyden.lifecycle.invoke import invoke

__all__ = ["STEPS", "StageCallback", "StageTimer"]

STEPS: Final = (
    "download_and_prepare_data",
    "load_data",
    "augment_data",
    "fit_preprocessors",
    "transform_data",
    "fit_model",
    "evaluate_model",
)
"""The steps of an experiment, in their order."""


class StageCallback:
    """Something done where a step of an experiment begins or ends; override what you need.

    Any object with some of these methods will do.
    """

    def on_train_begin(self) -> None:
        """Act before everything else."""

    def on_download_and_prepare_data_begin(self) -> None:
        """Act before the data is fetched."""

    def on_download_and_prepare_data_end(self) -> None:
        """Act once the data is there."""

    def on_load_data_begin(self) -> None:
        """Act before the data is read and split."""

    def on_load_data_end(self) -> None:
        """Act once the data is read and split."""

    def on_augment_data_begin(self) -> None:
        """Act before training data is augmented."""

    def on_augment_data_end(self) -> None:
        """Act once training data is augmented."""

    def on_fit_preprocessors_begin(self) -> None:
        """Act before preprocessors are fitted."""

    def on_fit_preprocessors_end(self) -> None:
        """Act once preprocessors are fitted."""

    def on_transform_data_begin(self) -> None:
        """Act before data is preprocessed."""

    def on_transform_data_end(self) -> None:
        """Act once data is preprocessed."""

    def on_fit_model_begin(self) -> None:
        """Act before the model is trained."""

    def on_fit_model_end(self) -> None:
        """Act once the model is trained."""

    def on_evaluate_model_begin(self) -> None:
        """Act before the model is tested."""

    def on_evaluate_model_end(self) -> None:
        """Act once the model is tested."""

    def on_train_end(self) -> None:
        """Act after everything else, also if a step failed."""


class StageTimer:
    """Call callbacks around the steps of an experiment, and time the steps.

    Args:
        callbacks: Objects with methods such as ``on_load_data_begin()``, called in this order.

    Attributes:
        elapsed: ``start`` and ``end``, in seconds since 1970, and ``duration`` in seconds, by step;
            ``total`` for all of them.

    Example:
        >>> timer = StageTimer()
        >>> with timer.train():
        ...     with timer.step("load_data"):
        ...         pass
        >>> list(timer.elapsed)
        ['load_data', 'total']
    """

    def __init__(self, callbacks: Sequence[Any] = ()) -> None:
        self._callbacks = tuple(callbacks)
        self.elapsed: dict[str, dict[str, float]] = {}

    @contextmanager
    def train(self) -> Iterator[None]:
        """Run all steps: ``on_train_begin`` before, ``on_train_end`` after them or an error."""
        self._call("on_train_begin")
        try:
            with self._timed("total"):
                yield
        finally:
            self._call("on_train_end")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Run a step: the callbacks' ``on_<name>_begin`` before it, ``on_<name>_end`` after it.

        After an error the latter is not called.

        Args:
            name: One of ``STEPS``.

        Raises:
            ConfigError: If there is no such step.
        """
        if name not in STEPS:
            problem = f"Expected `name` to be a step of an experiment, but got {name!r}."
            raise ConfigError(f"{problem} {suggest(name, STEPS)}")
        self._call(f"on_{name}_begin")
        with self._timed(name):
            yield
        self._call(f"on_{name}_end")

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start, began = time.time(), time.perf_counter()
        try:
            yield
        finally:
            duration = time.perf_counter() - began
            self.elapsed[name] = {"start": start, "end": start + duration, "duration": duration}

    def _call(self, method: str) -> None:
        for callback in self._callbacks:
            function = getattr(callback, method, None)
            if function is not None:
                invoke(function, name=type(callback).__qualname__, moment=method)

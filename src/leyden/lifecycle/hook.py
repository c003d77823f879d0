"""A hook on the steps and epochs of training."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from leyden.errors import ConfigError
from leyden.lifecycle.results import Results
from leyden.lifecycle.run_view import RunView

__all__ = ["Hook", "after_step_of"]


class Hook:
    """Something done around the steps and epochs of training; override what you need.

    Steps are numbered by the train batches that came before, over all epochs and resumed runs. Any
    object with some of these methods will do.

    Attributes:
        run: The run that the hook is part of, once training is set up.
    """

    run: RunView

    def attach(self, run: RunView) -> None:
        """Take note of the run, before anything else is called.

        Args:
            run: The trainer, the module, the data and the counters.
        """
        self.run = run

    def before_epoch(self, epoch: int) -> None:
        """Act before the first step of an epoch.

        Args:
            epoch: Which one, from zero.
        """

    def before_step(
        self, step: int, fetches: dict[str, Any], feeds: dict[str, Any], batch: Any
    ) -> None:
        """Act before a step.

        Args:
            step: How many steps came before.
            fetches: Functions of the feeds in a nested dictionary, to add to.
            feeds: A shallow copy of the batch by name, to change.
            batch: What the step is given.
        """

    def wants(self, step: int) -> Iterable[str]:  # noqa: ARG002 - for those who override
        """Name the results to be computed before the step, with the weights it begins with.

        All others are computed when they are read, after the step.

        Args:
            step: How many steps came before.
        """
        return ()

    def after_step(self, step: int, results: Results) -> None:
        """Act after a step.

        A hook may take four arguments instead: ``after_step(step, fetches, feeds, batch)``, where
        ``fetches`` are the results, ``feeds`` and ``batch`` those of ``before_step``.

        Args:
            step: How many steps there were, this one included.
            results: What the fetches give, each computed once when it is first read.
        """

    def after_epoch(self, epoch: int) -> None:
        """Act after the last step of an epoch, before its validation.

        Args:
            epoch: Which one, from zero.
        """

    def at_exception(self, exception: BaseException) -> None:
        """Act when the run is broken off.

        Args:
            exception: Why.
        """


AfterStep = Callable[[int, Any, Mapping[str, Any], Any], None]


def after_step_of(name: str, method: Callable[..., None]) -> AfterStep:
    """Give either documented form of ``after_step`` the form with four arguments.

    Args:
        name: Name of the hook, for the error.
        method: Its method.

    Raises:
        ConfigError: If it takes neither two nor four arguments.
    """
    signature = inspect.signature(method)
    if _takes(signature, 4):
        return method
    if _takes(signature, 2):
        return lambda step, results, _feeds, _batch: method(step, results)
    raise ConfigError(
        f"Expected `after_step` of `{name}` to take (step, results) or (step, fetches, feeds, "
        f"batch), but got {signature}."
    )


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True

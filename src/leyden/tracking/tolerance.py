"""Trackers that fail, and runs that go on all the same."""

import warnings
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import DummyLogger
from typing_extensions import override

from leyden.tracking.files import FileLogger

__all__ = ["TolerantLogger", "tolerate"]

_L = TypeVar("_L", bound=Logger)

_CALLS = (
    "log_metrics",
    "log_hyperparams",
    "log_graph",
    "save",
    "after_save_checkpoint",
    "finalize",
)
_SHOWN = 300  # letters of an error


class TolerantLogger(Logger):
    """What `tolerate` adds to a logger."""

    _has_failed = False
    _has_experiment = True

    def attempt(self, call: Callable[[], Any], *, anyway: bool = False) -> Any:
        """Do something with the logger, unless it has failed before.

        Args:
            call: What is to be done.
            anyway: Whether to do it even so.

        Returns:
            What that gave; ``None`` if it has failed, now or before.
        """
        if self._has_failed and not anyway:
            return None
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - other people's code, of which any may come
            self._give_up(error)
            return None

    @override
    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle it by the class that can be imported."""
        made: Any = super().__reduce_ex__(protocol)
        _, (_, *arguments), *rest = made
        return (_remake, (type(self).__mro__[2], *arguments), *rest)

    def _give_up(self, error: Exception) -> None:
        if self._has_failed:
            return
        self._has_failed = True
        reason = " ".join(str(error).split())[:_SHOWN]
        warnings.warn(
            f"The tracker {type(self).__name__} has failed and is told nothing more; the run goes "
            f"on. {type(error).__name__}: {reason} What it misses can be sent to it later, from "
            "metrics.csv: see `leyden.tracking.send_metrics`.",
            stacklevel=2,
        )


def tolerate(logger: _L) -> _L:
    """Have a run go on when one of its loggers fails.

    What the logger raises is told in one warning. From then on it is left alone, because packages
    that talk to a server have tried for minutes before they raise. It stays what it is, an
    instance of its class. A ``FileLogger`` is left as it is: what it misses, nobody else keeps.

    Args:
        logger: Any Lightning logger; changed.

    Returns:
        The logger.

    Example:
        >>> from lightning.pytorch.loggers import CSVLogger
        >>> logger = tolerate(CSVLogger("logs"))
        >>> isinstance(logger, CSVLogger)
        True
    """
    if not isinstance(logger, TolerantLogger | FileLogger):
        kind: Any = type(logger)
        logger.__class__ = _tolerant(kind)
    return logger


@cache
def _tolerant(cls: Any) -> Any:
    """Make the class of loggers of a class that may fail; it has the same name."""
    members: dict[str, Any] = {name: _attempted(getattr(cls, name)) for name in _CALLS}
    if hasattr(cls, "experiment"):
        members["experiment"] = property(_experiment_of(cls))
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (TolerantLogger, cls), members | names)


def _attempted(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def attempt(self: TolerantLogger, *args: Any, **kwargs: Any) -> Any:
        return self.attempt(lambda: call(self, *args, **kwargs))

    return attempt


def _experiment_of(cls: type[Any]) -> Callable[[TolerantLogger], Any]:
    """Give the experiment as the class does; nothing to talk to if it could not be begun."""

    def experiment(self: TolerantLogger) -> Any:
        if self._has_experiment:
            try:
                return cls.experiment.fget(self)
            except Exception as error:  # noqa: BLE001 - as above
                self._has_experiment = False
                self._give_up(error)
        return DummyLogger().experiment

    return experiment


def _remake(cls: Any, *arguments: Any) -> Any:
    tolerant = _tolerant(cls)
    return tolerant.__new__(tolerant, *arguments)

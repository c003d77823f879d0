"""The named moments at which callbacks in DeepTrain's manner are called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from leyden.errors import ConfigError, suggest
from leyden.lifecycle.every import Every
from leyden.lifecycle.run_view import Counters, RunView, Stage

__all__ = [
    "STAGES",
    "StageCall",
    "StageFunctions",
    "TraingenCallback",
    "calls_of_functions",
    "calls_of_methods",
]

EPOCH_VAL_END: Final = ("val_end", "train:epoch")

_METHODS: Final = {
    "train:iter": "on_train_iter_end",
    "train:batch": "on_train_batch_end",
    "train:epoch": "on_train_epoch_end",
    "val:iter": "on_val_iter_end",
    "val:batch": "on_val_batch_end",
    "val:epoch": "on_val_epoch_end",
    "val_end": "on_val_end",
    "save": "on_save",
    "load": "on_load",
}

STAGES: Final[tuple[Stage, ...]] = (*_METHODS, EPOCH_VAL_END)
"""All stages."""

StageFunctions: TypeAlias = Mapping[Any, Any]
"""Functions of the run, alone or in lists, by stage or frequency."""


class TraingenCallback:
    """Something done at ends of steps, batches, epochs and validations; override what you need.

    Each method is given the stage, which is ``("val_end", "train:epoch")`` in ``on_val_end`` for a
    validation that ends an epoch. Any object with some of these methods will do.

    Attributes:
        tg: The run that the callback is part of.
    """

    tg: RunView

    def init_with_traingen(self, traingen: RunView) -> None:
        """Take note of the run, before anything else is called.

        Args:
            traingen: The trainer, the module, the data and the counters.
        """
        self.tg = traingen

    def on_train_iter_end(self, stage: Stage) -> None:
        """Act after a train step."""

    def on_train_batch_end(self, stage: Stage) -> None:
        """Act after all train steps of a batch."""

    def on_train_epoch_end(self, stage: Stage) -> None:
        """Act after the last train batch of an epoch, before its validation."""

    def on_val_iter_end(self, stage: Stage) -> None:
        """Act after a validation step."""

    def on_val_batch_end(self, stage: Stage) -> None:
        """Act after all validation steps of a batch."""

    def on_val_epoch_end(self, stage: Stage) -> None:
        """Act after the last batch of a validation."""

    def on_val_end(self, stage: Stage) -> None:
        """Act after a validation, once checkpoints have been saved."""

    def on_save(self, stage: Stage) -> None:
        """Act before a checkpoint is written."""

    def on_load(self, stage: Stage) -> None:
        """Act once a checkpoint has been loaded."""


@dataclass(frozen=True, slots=True)
class StageCall:
    """A function and when it is called.

    Args:
        name: Name of the hook it belongs to.
        stages: The stages.
        function: Called with the run and the stage.
        every: How often, if not each time.
    """

    name: str
    stages: frozenset[Stage]
    function: Callable[[RunView, Stage], Any]
    every: Every | None = None

    def due(self, counters: Counters) -> bool:
        """Say whether it is time.

        Args:
            counters: How much has been done.
        """
        if self.every is None:
            return True
        return self.every.due(getattr(counters, f"num_{self.every.unit}"))


def calls_of_functions(functions: StageFunctions) -> list[StageCall]:
    """Read functions by stage or frequency.

    ``"train:epoch"`` and ``"val_end"`` are both called at ``("val_end", "train:epoch")`` as well.

    Args:
        functions: A function, or several in a list, by stage or ``Every``.

    Raises:
        ConfigError: If there is no such stage, or something is not a function.
    """
    return [
        call
        for key, found in functions.items()
        for function in (found if isinstance(found, list | tuple) else [found])
        for call in [_make_call(key, function)]
    ]


def _make_call(key: Any, function: Any) -> StageCall:
    if not callable(function):
        problem = f"Expected what is called at `{key}` to be a function"
        raise ConfigError(f"{problem}, but got {function!r}.")
    name = getattr(function, "__qualname__", type(function).__qualname__)
    every = key if isinstance(key, Every) else None
    stages = _match(every.stage, exact=every.unit != "validations") if every else _match(key)
    return StageCall(name, stages, lambda run, _: function(run), every)


def _match(key: Any, *, exact: bool = False) -> frozenset[Stage]:
    if key not in STAGES:
        problem = f"Expected `stage` to be the name of a stage, but got {key!r}."
        raise ConfigError(f"{problem} {suggest(str(key), [*_METHODS, str(EPOCH_VAL_END)])}")
    both = key in EPOCH_VAL_END and not exact
    return frozenset([key, EPOCH_VAL_END] if both else [key])


def calls_of_methods(name: str, methods: Mapping[str, Callable[..., Any]]) -> list[StageCall]:
    """Read the methods of an object.

    Args:
        name: Name of the hook.
        methods: Its methods, by their names.
    """
    return [
        StageCall(name, _match(stage, exact=stage != "val_end"), _without_run(methods[method]))
        for stage, method in _METHODS.items()
        if method in methods
    ]


def _without_run(method: Callable[[Stage], Any]) -> Callable[[RunView, Stage], Any]:
    return lambda _, stage: method(stage)

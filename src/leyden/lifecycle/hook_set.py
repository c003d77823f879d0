"""Hooks of several systems, sorted by the moments at which they are called."""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from leyden.errors import ConfigError
from leyden.lifecycle.hook import Hook, after_step_of
from leyden.lifecycle.invoke import invoke
from leyden.lifecycle.likeness import check_methods
from leyden.lifecycle.run_view import RunView, Stage
from leyden.lifecycle.stage_callback import STEPS, StageCallback
from leyden.lifecycle.stages import (
    StageCall,
    TraingenCallback,
    calls_of_functions,
    calls_of_methods,
)

__all__ = ["HookSet"]

_log = logging.getLogger(__name__)

_STEP_HOOKS: Final = (
    "before_epoch",
    "before_step",
    "wants",
    "after_step",
    "after_epoch",
    "at_exception",
)
_EXPERIMENT_HOOKS: Final = tuple(f"on_{step}_{end}" for step in STEPS for end in ("begin", "end"))
_STAGE_HOOKS: Final = tuple(name for name in vars(TraingenCallback) if name.startswith("on_"))
_ALL_HOOKS: Final = (*_STEP_HOOKS, *_STAGE_HOOKS, *vars(StageCallback))


class HookSet:
    """Hooks in EDflow's, DeepTrain's and Gymnos' manner, beside each other.

    At each moment they are called in the order of the list.

    Args:
        hooks: Objects with methods of ``Hook``, ``TraingenCallback`` or ``StageCallback``,
            dictionaries of functions by stage, and lists of these; or one alone.

    Raises:
        ConfigError: If something is no hook, a method is named almost like one, or a stage or a
            signature is unknown.
    """

    def __init__(self, hooks: Any) -> None:
        parts = list(_flatten(hooks if isinstance(hooks, list | tuple) else [hooks]))
        labels = _number([_name(part) for part in parts])
        self._parts = dict(zip(labels, parts, strict=True))
        self._calls: dict[str, list[tuple[str, Callable[..., Any]]]] = defaultdict(list)
        self._stage_calls: list[StageCall] = []
        for name, part in self._parts.items():
            self._add(name, part)

    def _add(self, name: str, part: Any) -> None:
        if isinstance(part, Mapping):
            self._stage_calls += calls_of_functions(part)
            return
        edflow = _methods(part, Hook, _STEP_HOOKS)
        gymnos = _methods(part, StageCallback, _EXPERIMENT_HOOKS)
        deeptrain = _methods(part, TraingenCallback, _STAGE_HOOKS)
        bases = (Hook, StageCallback, TraingenCallback)
        is_hook = bool(edflow or gymnos or deeptrain) or isinstance(part, bases)
        if (
            not is_hook or isinstance(part, type) or hasattr(part, "on_train_batch_start")
        ):  # which Lightning's callbacks have
            _refuse(part)
        check_methods(part, _ALL_HOOKS)
        if "after_step" in edflow:
            edflow["after_step"] = after_step_of(name, edflow["after_step"])
        for moment, method in (edflow | gymnos).items():
            self._calls[moment].append((name, method))
        self._stage_calls += calls_of_methods(name, deeptrain)

    def attach(self, run: RunView) -> None:
        """Show the run to every hook that wants to see it.

        Args:
            run: The trainer, the module, the data and the counters.
        """
        for name, part in self._parts.items():
            for moment in ("attach", "init_with_traingen"):
                method = getattr(part, moment, None)
                if method is not None:
                    invoke(method, run, name=name, moment=moment)

    def has(self, *moments: str) -> bool:
        """Say whether there is a hook at one of these moments.

        Args:
            *moments: Names of methods.
        """
        return any(moment in self._calls for moment in moments)

    @property
    def has_stages(self) -> bool:
        """Whether there is a hook of stages or of the steps of an experiment."""
        return bool(self._stage_calls) or self.has(*_EXPERIMENT_HOOKS)

    def call(self, moment: str, *arguments: Any) -> list[Any]:
        """Call all hooks of a moment.

        Args:
            moment: Name of the method.
            *arguments: What it is given.

        Returns:
            What they return.
        """
        return [
            invoke(function, *arguments, name=name, moment=moment)
            for name, function in self._calls.get(moment, ())
        ]

    def fire(self, run: RunView, stage: Stage) -> None:
        """Call all hooks of a stage that are due.

        Args:
            run: The run.
            stage: The stage.
        """
        run.stage = stage
        for call in self._stage_calls:
            if stage in call.stages and call.due(run.counters):
                invoke(call.function, run, stage, name=call.name, moment=stage)

    def at_exception(self, exception: BaseException) -> None:
        """Tell every hook once that the run is broken off; one that fails does not stop the others.

        Args:
            exception: Why.
        """
        for name, function in self._calls.get("at_exception", ()):
            try:
                function(exception)
            except Exception as error:  # noqa: BLE001 - the run is failing already, and goes on to
                exception.add_note(f"`at_exception` of the hook `{name}` failed too: {error!r}")
                _log.error("`at_exception` of the hook `%s` failed", name, exc_info=error)

    def state_dict(self) -> dict[str, Any]:
        """Write down the state of every hook that has one."""
        return {
            name: part.state_dict()
            for name, part in self._parts.items()
            if hasattr(part, "state_dict")
        }

    def load_state_dict(self, states: Mapping[str, Any]) -> None:
        """Give hooks their states; one that is new keeps the state it has.

        Args:
            states: What ``state_dict`` returned.
        """
        for name, state in states.items():
            if hasattr(self._parts.get(name), "load_state_dict"):
                self._parts[name].load_state_dict(state)


def _flatten(hooks: Iterable[Any]) -> Iterable[Any]:
    for hook in hooks:
        if isinstance(hook, list | tuple):
            yield from _flatten(hook)
        elif hasattr(hook, "stage_hooks"):  # a callback of Lightning's that brings some
            yield from _flatten(hook.stage_hooks)
        else:
            yield hook


def _name(part: Any) -> str:
    return type(part).__qualname__.rpartition(".")[2]


def _number(names: list[str]) -> list[str]:
    """Tell hooks of one class apart by the order they are in."""
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return numbered


def _methods(part: Any, base: type, names: Iterable[str]) -> dict[str, Callable[..., Any]]:
    """Find the methods that are there and do something."""
    found = {name: getattr(part, name, None) for name in names}
    return {
        name: method
        for name, method in found.items()
        if callable(method) and getattr(method, "__func__", None) is not getattr(base, name, None)
    }


def _refuse(part: Any) -> None:
    raise ConfigError(
        f"Expected a hook to be an object with methods such as `after_step`, `on_val_end` or "
        f"`on_fit_model_begin`, or a dictionary of functions by stage, but got {part!r}. "
        f"Callbacks of Lightning go to `Trainer(callbacks=...)`."
    )

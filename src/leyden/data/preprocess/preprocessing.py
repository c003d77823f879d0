"""Preprocessing that is learned from the training rows, and the same in every phase."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np

from leyden.data.preprocess.fitted import (
    blank,
    capture,
    class_path,
    is_estimator,
    learned_names,
    learns,
    restore,
    settings_of,
    settle,
    tells_all,
    with_tuples,
)
from leyden.data.preprocess.transforms import PREPROCESSORS
from leyden.errors import ConfigError, DataError, LeydenError, ResumeError
from leyden.recipes import Recipe, build, import_named
from leyden.types import Array

__all__ = ["Batches", "Preprocessing", "Transform"]

_VERSION = 1
_WRAP = "Wrap a function in scikit-learn's FunctionTransformer, or in a class with `transform`."
_ROWS_AT_ONCE = 1024  # for `partial_fit`
_BYTES_AT_ONCE = 256 << 20  # at least one row
_STATE = {"type", "settings", "learned"}  # of a step

Batches: TypeAlias = Callable[[], Iterable[tuple[Array, Array | None]]]
"""Called for each pass over the rows, in batches of inputs ``(rows, ...)`` and their labels."""


@runtime_checkable
class Transform(Protocol):
    """Changes batches; it may have ``fit`` or ``partial_fit`` as well, as scikit-learn's have."""

    def transform(self, inputs: Any, /) -> Any:
        """Change a batch ``(rows, ...)``; as many rows come out, in the same order."""
        ...


class Preprocessing:
    """A chain of preprocessors, fitted once on training rows and applied alike in every phase.

    A preprocessor is what scikit-learn takes for one: it has ``transform``, and may have
    ``partial_fit`` or ``fit``. Each is fitted on what the one before it makes.

    * ``partial_fit`` is called with 1024 rows after the other, and at last with fewer than twice as
      many, however the rows are divided into batches. Of large rows it gets fewer at once.
    * Where there is only ``fit``, **all training rows are in memory at once** while it runs, as
      the preprocessors before it make them. This holds for ``kbest`` and ``robust_scaler``.
    * Those of scikit-learn's kind (with ``get_params``) see a row as ``(features,)``. Where as many
      features come out, the row gets its shape back.

    What was learned is kept as plain numbers. A preprocessor for which that is not possible is
    refused when it is fitted, not when the first checkpoint is written.

    Args:
        steps: The preprocessors in their order: each an object, a class, the short name of one in
            ``PREPROCESSORS``, an import path, or a dictionary ``{"type": name or path,
            **arguments}``. Objects are copied, and left as they are.

    Raises:
        ConfigError: If a step is not known, or is not a preprocessor.

    Example:
        >>> rows = np.array([[0], [128], [255]], np.uint8)
        >>> chain = Preprocessing([{"type": "divide", "factor": 255}, "min_max_scaler"])
        >>> chain.fit(lambda: [(rows[:1], None), (rows[1:], None)]).transform(rows)[:, 0]
        array([0.       , 0.5019608, 1.       ], dtype=float32)
    """

    def __init__(self, steps: Iterable[Transform | Recipe]) -> None:
        described = list(steps)
        self._made = [_make(step) for step in described]  # these never learn
        self._identities = list(map(_identity, self._made, described))
        self._steps = self._made  # copies of them that have learned
        self._names: list[list[str]] = [[] for _ in self._made]  # of what they have learned
        self._fitted = not any(map(learns, self._made))

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def is_fitted(self) -> bool:
        """Whether there is nothing left to learn."""
        return self._fitted

    def fit(self, batches: Batches) -> Self:
        """Learn from the training rows, from the beginning.

        The rows are passed once for each step that learns. If one fails, nothing changes.

        Args:
            batches: Called for each pass.

        Returns:
            This chain.

        Raises:
            ConfigError: If a step learns what cannot be written to a checkpoint, or an argument of
                it is wrong.
            DataError: If there are no rows, or they do not suit a step.
        """
        fitted: list[Any] = []
        for made in self._made:
            step = blank(made)
            if learns(step):
                _fit(step, _passed(batches, fitted))
                step = settle(step, made)  # as it will be when loaded
            fitted.append(step)
        self._take(fitted)
        return self

    def transform(self, inputs: Array) -> Array:
        """Apply every step to a batch.

        Args:
            inputs: A batch ``(rows, ...)``, as the shards have it.

        Returns:
            The batch changed, with as many rows; float32, or the whole numbers that the last step
            made.

        Raises:
            DataError: If the chain is not fitted, or the batch does not suit a step.
        """
        self._check_fitted()
        for step in self._steps:
            inputs = _apply(step, inputs)
        if inputs.dtype.kind not in "biufc":
            problem = f"Expected {class_path(self._steps[-1])} to make numbers"
            raise DataError(
                f"{problem}, but got {inputs.dtype} {inputs.shape}. Turn them into some."
            )
        inputs = inputs.astype(np.float32, copy=False) if inputs.dtype.kind == "f" else inputs
        return inputs if min(inputs.strides) >= 0 else inputs.copy()  # as tensors want it

    def state_dict(self) -> dict[str, Any]:
        """Write down what was learned.

        Returns:
            Numbers, strings, lists, dictionaries and tensors.

        Raises:
            DataError: If the chain is not fitted.
        """
        self._check_fitted()
        states = [
            {**told, "learned": capture(step, names) if learns(step) else {}}
            for told, step, names in zip(self._identities, self._steps, self._names, strict=True)
        ]
        return {"version": _VERSION, "steps": states}

    def check_state(self, state_dict: Any) -> None:
        """Refuse a state that cannot be taken over.

        Args:
            state_dict: What ``state_dict`` returned.

        Raises:
            ResumeError: If it is of another version, or of other steps.
        """
        version = state_dict.get("version") if isinstance(state_dict, Mapping) else None
        if version != _VERSION:
            problem = f"Expected preprocessors of version {_VERSION}, but got {version!r}."
            raise ResumeError(f"{problem} Pass what `state_dict` returned.")
        states = _read_states(state_dict)
        saved = [{key: state[key] for key in ("type", "settings")} for state in states]
        given = self._identities
        if len(saved) != len(given) or not all(map(_agree, self._made, saved, given)):
            problem = f"Preprocessors changed.\nsaved: {_show(saved)}\ngiven: {_show(given)}"
            raise ResumeError(f"{problem}\nGo on with those that were saved, or train anew.")

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what was learned, instead of fitting.

        Args:
            state_dict: What ``state_dict`` returned, of a chain with the same steps.

        Raises:
            ResumeError: If it is of another version, or of other steps.
        """
        self.check_state(state_dict)
        self._take(
            [
                restore(step, state["learned"]) if learns(step) else step
                for step, state in zip(self._made, state_dict["steps"], strict=True)
            ]
        )

    def _take(self, fitted: list[Any]) -> None:
        """Use these steps from now on; what they learned is told before they are used."""
        pairs = zip(fitted, self._made, strict=True)
        self._names = [learned_names(step, made) for step, made in pairs]
        self._steps, self._fitted = fitted, True

    def _check_fitted(self) -> None:
        if not self._fitted:
            names = ", ".join(type(step).__name__ for step in self._steps if learns(step))
            problem = f"Expected the preprocessors to be fitted before use, but {names} learned"
            raise DataError(f"{problem} nothing yet. Call `fit` with training rows, or load them.")


def _make(step: Any) -> Any:
    if isinstance(step, Transform) and not isinstance(step, type):
        return with_tuples(blank(step))
    if isinstance(step, str | Mapping | type | partial):
        made = build(step, PREPROCESSORS, what="preprocessors")
    else:
        made = _called(step) if callable(step) else step
    if not isinstance(made, Transform):
        problem = f"Expected a preprocessor to have `transform`, but got {made!r}."
        remedy = f" {_WRAP}" if callable(made) else ""
        raise ConfigError(f"{problem}{remedy}")
    return with_tuples(made)


def _called(factory: Any) -> Any:
    """Have a function make a preprocessor, unless it looks like one itself."""
    try:
        return build(factory, PREPROCESSORS, what="preprocessors")
    except ConfigError as error:
        if not isinstance(error.__cause__, TypeError):
            raise
        problem = f"Expected a preprocessor to have `transform`, but got {factory!r}."
        raise ConfigError(f"{problem} {_WRAP}") from error


def _passed(batches: Batches, steps: Sequence[Any]) -> Iterator[tuple[Array, Array | None]]:
    """Pass over the rows as the steps make them."""
    for inputs, labels in batches():
        for step in steps:
            inputs = _apply(step, inputs)  # noqa: PLW2901 - what the next step sees
        yield inputs, labels


def _fit(step: Any, batches: Iterator[tuple[Array, Array | None]]) -> None:
    fit = getattr(step, "partial_fit", None)
    if fit is None:
        fit, batches = step.fit, _joined(batches)
    else:
        batches = _regrouped(batches)
    passed = False
    for inputs, labels in batches:
        try:
            fit(_as_step_sees(step, inputs), labels)
        except LeydenError:
            raise
        except (TypeError, ValueError) as error:
            beside = " without labels" if labels is None else ""
            raise _unsuitable(step, inputs, error, beside=beside) from error
        passed = True
    if not passed:
        problem = f"Expected training rows to fit {class_path(step)} on, but got none."
        raise DataError(problem)


def _joined(
    batches: Iterable[tuple[Array, Array | None]],
) -> Iterator[tuple[Array, Array | None]]:
    passed = list(batches)
    if passed:
        labels = [known for _, known in passed if known is not None]
        inputs = np.concatenate([rows for rows, _ in passed])
        yield inputs, np.concatenate(labels) if labels else None


def _regrouped(
    batches: Iterable[tuple[Array, Array | None]],
) -> Iterator[tuple[Array, Array | None]]:
    """Divide rows in a way that depends on nothing but their number and size."""
    held: list[tuple[Array, Array | None]] = []
    count = 0  # of the rows that are held
    for inputs, labels in batches:
        if not len(inputs):
            continue
        held.append((inputs, labels))
        count += len(inputs)
        size = max(1, min(_ROWS_AT_ONCE, _BYTES_AT_ONCE * len(inputs) // max(1, inputs.nbytes)))
        if count >= 2 * size:
            ((rows, known),) = _joined(held)
            stop = count - size - count % size  # that at least as many are left
            for start in range(0, stop, size):
                part = slice(start, start + size)
                yield rows[part], None if known is None else known[part]
            held, count = [(rows[stop:], None if known is None else known[stop:])], count - stop
    yield from _joined(held)


def _apply(step: Any, inputs: Array) -> Array:
    try:
        result = step.transform(_as_step_sees(step, inputs))
    except LeydenError:
        raise
    except (TypeError, ValueError) as error:
        raise _unsuitable(step, inputs, error) from error
    result = np.asarray(result.toarray() if hasattr(result, "toarray") else result)
    if result.shape[:1] != inputs.shape[:1]:
        problem = f"Expected {class_path(step)} to keep the {len(inputs)} rows of a batch"
        raise DataError(f"{problem}, but got shape {result.shape}.")
    same = is_estimator(step) and result.size == inputs.size
    return result.reshape(inputs.shape) if same else result


def _as_step_sees(step: Any, inputs: Array) -> Array:
    return inputs.reshape(len(inputs), -1) if is_estimator(step) else inputs


def _unsuitable(step: Any, inputs: Array, error: Exception, *, beside: str = "") -> LeydenError:
    if type(error).__name__ == "InvalidParameterError":  # scikit-learn's, who looks when it fits
        problem = f"Expected `preprocessors` to have arguments that {class_path(step)} takes"
        return ConfigError(f"{problem}, but got another: {error}")
    problem = f"Expected rows that suit {class_path(step)}"
    return DataError(f"{problem}, but got {inputs.dtype} {inputs.shape}{beside}: {error}")


def _read_states(state_dict: Mapping[str, Any]) -> list[dict[str, Any]]:
    states: Any = state_dict.get("steps")
    if isinstance(states, list) and all(
        isinstance(state, dict) and state.keys() >= _STATE for state in states
    ):
        return states
    problem = "Expected a state of preprocessors to have `steps`, each with what it has learned"
    raise ResumeError(f"{problem}, but got {list(state_dict)}. Pass what `state_dict` returned.")


def _identity(made: Any, described: Any) -> dict[str, Any]:
    given = None if tells_all(made) else _given(described)
    return {"type": class_path(made), "settings": settings_of(made, given)}


def _given(described: Any) -> Mapping[str, Any] | None:
    """The arguments that a class was called with, where it was named or given."""
    if isinstance(described, partial):
        known = isinstance(described.func, type) and not described.args
        return described.keywords if known else None
    arguments = dict(described) if isinstance(described, Mapping) else {"type": described}
    named = arguments.pop("type")
    factory = import_named(named, (), "preprocessors") if isinstance(named, str) else named
    return arguments if isinstance(factory, type) else None


def _agree(made: Any, saved: dict[str, Any], given: dict[str, Any]) -> bool:
    if tells_all(made) or saved["type"] != given["type"]:
        return _show([saved]) == _show([given])
    one, other = saved["settings"], given["settings"]  # of an object, some may be unknown
    return all(_plain_text(one[name]) == _plain_text(other[name]) for name in one if name in other)


def _plain_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)  # in which nan is nan


def _show(steps: list[dict[str, Any]]) -> str:
    return _plain_text([[step["type"], step["settings"]] for step in steps])

"""Functions over stored rows, by name, import path or file, and what they return."""

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, TypeAlias

import numpy as np
import torch
from matplotlib.figure import Figure

from leyden.errors import ConfigError, DataError, LeydenError, MissingPathError, suggest
from leyden.evaluation.metrics import METRICS, classes_in, scores_in, suiting, targets_in
from leyden.evaluation.records import Records
from leyden.types import Array

__all__ = ["MetricSource", "Metrics", "call_metric", "choose_metrics", "find_metric"]

MetricSource: TypeAlias = str | Callable[..., Any]
"""A name, an import path, a function in a file ``path/to/file.py:function``, or a function."""

Metrics: TypeAlias = str | Sequence[str] | Mapping[str, MetricSource]
"""Functions by name, or names; ``"auto"`` for those that suit the records."""

_NAME = re.compile(r"[\w.+-]+(/[\w.+-]+)*")
_MOST = 1000  # numbers of an array that get a name each


@dataclass(frozen=True)
class Found:
    """What a function made of the rows.

    Args:
        numbers: By name.
        figures: By name.
    """

    numbers: dict[str, float] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)


def choose_metrics(metrics: Metrics, records: Records | None) -> dict[str, Callable[..., Any]]:
    """Find the functions that are meant.

    Args:
        metrics: What was asked for.
        records: What they will be called with, for ``"auto"``; ``None`` to find out whether all of
            them exist.

    Raises:
        ConfigError: If there is no such function, or a name cannot be one.
    """
    if metrics == "auto":
        metrics = [] if records is None else suiting(records)
    named = (
        metrics
        if isinstance(metrics, Mapping)
        else {name: name for name in ([metrics] if isinstance(metrics, str) else metrics)}
    )
    found = {}
    for name, source in named.items():
        # A path is not a name: the function's own will do.
        short = re.split(r"[.:]", name)[-1] if source == name and name not in METRICS else name
        if not _NAME.fullmatch(short):
            problem = (
                "Expected the name of a metric to be made of letters, digits, dots and slashes"
            )
            raise ConfigError(f"{problem}, but got {short!r}.")
        found[short] = source if callable(source) else find_metric(source)
    return found


def find_metric(source: str) -> Callable[..., Any]:
    """Find a function by what it is called.

    Args:
        source: A name of ``METRICS``; that of a function of ``sklearn.metrics`` or
            ``torchmetrics.functional``; ``package.module:function`` or
            ``package.module.function``; or ``path/to/file.py:function``.

    Raises:
        ConfigError: If there is none.
        MissingPathError: If there is no such file.

    Example:
        >>> find_metric("math.hypot")(3, 4)
        5.0
    """
    if source in METRICS:
        return METRICS[source]
    file, _, name = source.rpartition(":")
    if file.endswith(".py"):
        return _check(_in_file(Path(file), name), source)
    if re.fullmatch(r"\w+", source):
        return _short(source)
    problem = f"Expected a metric, an import path or FILE.py:FUNCTION, but got {source!r}."
    try:
        return _check(resolve_name(source), source)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{problem} It cannot be imported: {error}.") from error


def _short(name: str) -> Callable[..., Any]:
    for package in ("sklearn.metrics", "torchmetrics.functional"):
        module = import_module(package)
        if name in module.__all__ and inspect.isfunction(getattr(module, name)):
            return _check(getattr(module, name), name)
    problem = f"Expected the name of a metric, but got {name!r}."
    remedy = "Others are named by an import path, such as package.module.function."
    raise ConfigError(f"{problem} {suggest(name, METRICS)} {remedy}")


def _in_file(path: Path, name: str) -> Any:
    if not path.is_file():
        raise MissingPathError(
            f"Expected a file with a metric, but there is none at {str(path)!r}."
        )
    spec = spec_from_file_location(f"leyden_metrics_{path.stem}", path)
    assert spec is not None  # noqa: S101 - it ends in .py
    assert spec.loader is not None  # noqa: S101 - likewise
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        raise ConfigError(
            f"Expected metrics in {path}, but it cannot be imported: {error}."
        ) from error
    if not hasattr(module, name):
        known = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise ConfigError(f"Expected a function {name!r} in {path}. {suggest(name, known)}")
    return getattr(module, name)


def _check(found: Any, source: str) -> Callable[..., Any]:
    if not callable(found):
        problem = f"Expected {source!r} to be a function"
        raise ConfigError(f"{problem}, but it is {type(found).__qualname__}.")
    package = (getattr(found, "__module__", None) or "").partition(".")[0]
    if package == "sklearn":
        return partial(_of_sklearn, found)
    if package == "torchmetrics":
        return partial(_of_torchmetrics, found)
    return found  # type: ignore[no-any-return] # which can be called


def _of_sklearn(function: Callable[..., Any], records: Records) -> Any:
    """Call a function of scikit-learn's, which has the truth first."""
    names = inspect.signature(function).parameters
    second = list(names)[1] if len(names) > 1 else ""
    guesses = (
        scores_in(records) if second in ("y_score", "y_prob", "y_proba") else classes_in(records)
    )
    return function(targets_in(records), guesses)


def _of_torchmetrics(function: Callable[..., Any], records: Records) -> Any:
    """Call a function or a class of torchmetrics, which has the guesses first."""
    targets = torch.from_numpy(np.array(targets_in(records)))
    names = inspect.signature(function).parameters
    if not targets.is_floating_point() and ("task" in names or "num_classes" in names):
        guesses = scores_in(records)
        count = guesses.shape[1] if guesses.ndim > 1 else 2
        known = {"task": "multiclass" if count > 2 else "binary", "num_classes": count}
        if count == 2 and guesses.ndim > 1:
            guesses = guesses[:, 1]
        arguments = {name: value for name, value in known.items() if name in names}
    else:
        guesses, arguments = classes_in(records), {}
    tensors = torch.from_numpy(np.array(guesses)), targets
    if inspect.isclass(function):
        metric: Any = function(**arguments)
        return metric(*tensors)
    return function(*tensors, **arguments)


def call_metric(name: str, function: Callable[..., Any], records: Records) -> Found:
    """Run a function over the rows.

    A function whose arguments are called like columns is given these, as arrays ``(rows, ...)``.
    One with an argument ``records``, or with one argument of any other name, is given all of them.

    Args:
        name: What its results are called.
        function: It returns a number, a figure, an array of numbers, or a dictionary of them.
        records: The rows.

    Raises:
        ConfigError: If it asks for what is not there, or returns something else.
        DataError: If what is known by name does not suit the rows.
    """
    arguments = _arguments(name, function, records)
    try:
        result = function(**arguments) if isinstance(arguments, dict) else function(arguments)
    except LeydenError:
        raise
    except ValueError as error:
        if isinstance(function, partial):  # ours, which users do not debug
            problem = f"Expected rows that suit the metric `{name}`, but it says"
            raise DataError(f"{problem}: {' '.join(str(error).split())}") from error
        error.add_note(f"in the metric {name!r}")
        raise
    found = Found()
    for key, value in _parts(name, result):
        (found.figures if isinstance(value, Figure) else found.numbers)[key] = value
    return found


def _arguments(name: str, function: Callable[..., Any], records: Records) -> Any:
    """Give arguments by name, or the records if there is but one."""
    if isinstance(function, partial):
        return records
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of C, which says nothing
        return records
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    taken = [one for one in parameters if one.kind not in kinds]
    required = [one.name for one in taken if one.default is one.empty]
    if len(required) == 1 and required[0] not in records:
        return records
    given: dict[str, Array | Records] = {
        one.name: records[one.name] for one in taken if one.name in records
    }
    if any(one.name == "records" for one in taken):
        given["records"] = records
    if missing := [one for one in required if one not in given]:
        problem = f"Expected the arguments of the metric `{name}` to be called like columns"
        raise ConfigError(f"{problem}, but got {missing[0]!r}. {suggest(missing[0], records)}")
    return given


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Give each number and each figure a name."""
    if isinstance(value, Figure):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _parts(f"{name}/{key}", item)
    else:
        array = _as_numbers(name, value)
        if array.ndim == 0:
            yield name, float(array)
        else:
            for index, item in enumerate(array):
                yield from _parts(f"{name}/{index}", item)


def _as_numbers(name: str, value: Any) -> Array:
    try:
        array = np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
    except (TypeError, ValueError):  # lists of many lengths
        array = np.asarray(None)
    if array.dtype.kind not in "biuf" or array.size > _MOST:
        problem = (
            f"Expected the metric `{name}` to return a number, a figure, or a dictionary of them"
        )
        raise ConfigError(f"{problem}, but got {_shorten(value)}.")
    return array


def _shorten(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."

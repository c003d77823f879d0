"""Metrics of torchmetrics by name."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib import import_module
from inspect import signature
from pkgutil import resolve_name
from typing import Any, TypeAlias, cast

import torchmetrics
from torchmetrics import Metric

from leyden.errors import ConfigError, suggest
from leyden.recipes import Recipe, build

__all__ = ["MetricRecipe", "Metrics", "leaves_open", "make_metric", "name_metrics"]

MetricRecipe: TypeAlias = Recipe | Metric
"""A name, a dictionary with the name under ``type`` and arguments, a factory, or an object."""

Metrics: TypeAlias = MetricRecipe | Sequence[MetricRecipe] | Mapping[str, MetricRecipe]
"""A metric, several, or several by the names under which they are logged."""

_ROOMS = (
    *("audio", "classification", "clustering", "image", "nominal", "regression", "retrieval"),
    *("segmentation", "text"),
)
_SHORT: dict[str, tuple[str, dict[str, Any]]] = {
    "acc": ("Accuracy", {}),
    "auc": ("AUROC", {}),
    "cosine": ("CosineSimilarity", {}),
    "f1": ("F1Score", {}),
    "iou": ("JaccardIndex", {}),
    "mae": ("MeanAbsoluteError", {}),
    "mape": ("MeanAbsolutePercentageError", {}),
    "mse": ("MeanSquaredError", {}),
    "msle": ("MeanSquaredLogError", {}),
    "psnr": ("PeakSignalNoiseRatio", {}),
    "r2": ("R2Score", {}),
    "rmse": ("MeanSquaredError", {"squared": False}),
    "ssim": ("StructuralSimilarityIndexMeasure", {}),
}


def name_metrics(metrics: Metrics) -> dict[str, MetricRecipe]:
    """Tell under which name each metric is logged: that of its class, unless it has another.

    Args:
        metrics: The metrics.

    Returns:
        The metrics by their names.

    Raises:
        ConfigError: If two have one name, or a name cannot be used.

    Example:
        >>> list(name_metrics(["f1", "torchmetrics.classification.BinaryAccuracy"]))
        ['f1', 'binary_accuracy']
    """
    if isinstance(metrics, Mapping) and "type" not in metrics:
        named = dict(metrics)
    else:
        several = isinstance(metrics, Sequence) and not isinstance(metrics, str)
        recipes: Any = metrics if several else [metrics]
        named = {}
        for recipe in recipes:
            name = _name(recipe)
            if name in named:
                problem = f"Expected metrics of different names, but got two called {name!r}"
                raise ConfigError(f"{problem}. Pass a dictionary of metrics by names.")
            named[name] = recipe
    for name in named:
        if name in ("", "loss") or "." in name:
            problem = "Expected names of metrics to be without dots, and other than 'loss'"
            raise ConfigError(f"{problem}, but got {name!r}.")
    return named


def make_metric(metric: MetricRecipe, arguments: Mapping[str, Any]) -> Metric:
    """Make a metric.

    Args:
        metric: Its recipe; of an object, a copy is made.
        arguments: What is known; those that the metric takes and that its recipe does not give are
            filled in.

    Raises:
        ConfigError: If the name is not known, or the arguments do not fit.

    Example:
        >>> make_metric("accuracy", {"task": "multiclass", "num_classes": 3})
        MulticlassAccuracy()
    """
    if isinstance(metric, Metric):
        return metric.clone()
    factory, given = _open(metric)
    known = {name: value for name, value in arguments.items() if leaves_open(metric, name)}
    shown = metric["type"] if isinstance(metric, Mapping) else _name(metric)
    made = build({**known, **given, "type": shown}, {shown: factory}, what="metrics")
    if not isinstance(made, Metric):
        problem = "Expected `metrics` to be metrics of torchmetrics"
        raise ConfigError(f"{problem}, but got {metric!r}, which makes {type(made).__name__}.")
    return made


def leaves_open(metric: MetricRecipe, argument: str) -> bool:
    """Say whether a metric takes an argument that its recipe does not give.

    Args:
        metric: Its recipe; an object has all its arguments.
        argument: Name of the argument.

    Raises:
        ConfigError: If the name of the metric is not known.
    """
    if isinstance(metric, Metric):
        return False
    factory, given = _open(metric)
    return argument in signature(factory).parameters and argument not in given


def _open(recipe: Recipe) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Give the class that a recipe names, and the arguments that it gives."""
    if callable(recipe):
        return recipe, dict(recipe.keywords) if isinstance(recipe, partial) else {}
    settings: dict[str, Any] = {"type": recipe} if isinstance(recipe, str) else dict(recipe)
    name = settings.pop("type")
    short, preset = _SHORT.get(name, (name, {}))
    return _find(short), preset | settings


def _find(name: str) -> Callable[..., Any]:
    """Find a class of torchmetrics by its name, however it is written, or any by its path."""
    known = _classes()
    if (key := _squash(name)) in known:
        return known[key]
    problem = f"Expected `metrics` to be of a known type or an import path, but got {name!r}."
    if "." not in name:
        names = {_snake(kind.__name__) for kind in known.values()} | _SHORT.keys()
        shown = [name for name in names if not name.startswith("_")]  # its own are no suggestion
        raise ConfigError(f"{problem} {suggest(name, shown)}")
    try:
        found = resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{problem} It cannot be imported: {error}.") from error
    if not callable(found):
        raise ConfigError(f"{problem} It is no class.")
    return cast("Callable[..., Any]", found)


@cache
def _classes() -> dict[str, type[Metric]]:
    rooms = [torchmetrics, *(import_module(f"torchmetrics.{room}") for room in _ROOMS)]
    # The rooms last: some classes of theirs are in the package itself as well, but deprecated.
    found = {name: getattr(room, name) for room in rooms for name in room.__all__}
    return {
        _squash(name): kind
        for name, kind in found.items()
        if isinstance(kind, type) and issubclass(kind, Metric) and kind is not torchmetrics.Metric
    }


def _name(recipe: Any) -> str:
    """Give the name under which a metric is logged if it has no other."""
    if isinstance(recipe, Metric):
        return _snake(type(recipe).__name__)
    if callable(recipe):
        factory = recipe.func if isinstance(recipe, partial) else recipe
        return _snake(getattr(factory, "__name__", type(factory).__name__))
    name = recipe.get("type") if isinstance(recipe, Mapping) else recipe
    if not isinstance(name, str):
        problem = "Expected `metrics` to be names, dictionaries with a `type`, or objects"
        raise ConfigError(f"{problem}, but got {recipe!r}. Pass such as ['accuracy', 'auroc'].")
    return _snake(name.rpartition(".")[2])


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _squash(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()

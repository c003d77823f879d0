"""Which classes a file may name: none but those that do nothing when they are made."""

import re
from collections.abc import Collection, Iterator, Mapping
from pkgutil import resolve_name
from typing import Any

from lightning import LightningDataModule
from lightning.pytorch.loggers import Logger
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from leyden.data import Augmentor, Transform
from leyden.data.augment.foreign import path_in_kornia
from leyden.errors import DataError

__all__ = ["check_trusted", "is_trusted"]

_PACKAGES = ("kornia", "leyden", "lightning", "sklearn", "torch", "torchmetrics")
_BASES = (Augmentor, LightningDataModule, Logger, LRScheduler, nn.Module, Optimizer, Transform)
_TYPES = ("type", "entry_point")
_RECIPES = (
    "data_augmentors",
    "loss",
    "metrics",
    "model",
    "network",
    "optimizer",
    "preprocessors",
    "reader",
    "scheduler",
    "trackers",
)


def check_trusted(spec: Mapping[str, Any], trust: Collection[str]) -> None:
    """Refuse import paths of anything but parts of models, before one of them is imported.

    Args:
        spec: What a file tells.
        trust: Packages or modules that the user trusts in addition.

    Raises:
        DataError: If a path is of anything else.
    """
    for path in _import_paths(spec):
        if not is_trusted(path, trust):
            package = re.split(r"[.:]", path)[0]
            problem = (
                f"Expected parts of models by {', '.join(_PACKAGES)}, but the file names {path!r}"
            )
            remedy = f"If you know who made the file, pass trust=[{package!r}]."
            raise DataError(f"{problem}, which would be run. {remedy}")


def is_trusted(path: str, trust: Collection[str]) -> bool:
    """Say whether an import path is of a part of models in a known package, or is trusted.

    Args:
        path: The import path; names without a dot are short names, and no paths.
        trust: Packages or modules that the user trusts in addition.

    Example:
        >>> is_trusted("torch.nn.Linear", ()), is_trusted("os.system", ())
        (True, False)
    """
    if "." not in path or any(path == known or path.startswith(f"{known}.") for known in trust):
        return True
    if path.partition(".")[0] not in _PACKAGES:
        return False
    try:
        found = resolve_name(path_in_kornia(path))
    except (ImportError, AttributeError, ValueError):
        return False
    return isinstance(found, type) and issubclass(found, _BASES)


def _import_paths(value: Any, *, in_recipe: bool = False) -> Iterator[str]:
    """Find what would be imported: every type, and every text with a dot where recipes are."""
    if isinstance(value, str):
        if in_recipe and "." in value:
            yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _import_paths(item, in_recipe=in_recipe)
    elif isinstance(value, Mapping):
        is_typed = any(name in value for name in _TYPES)
        for key, item in value.items():
            inside = in_recipe and not (is_typed and isinstance(item, str))
            yield from _import_paths(item, in_recipe=inside or key in (*_TYPES, *_RECIPES))

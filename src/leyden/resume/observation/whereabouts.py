"""Where in the user's own code things are written and made."""

import hashlib
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from typing import Any, TypeAlias

import lightning
import torch
from torch.utils.data import DataLoader

from leyden.generators import Stream
from leyden.resume.loaders import SkippingSampler

__all__ = [
    "Place",
    "facts_of_loader",
    "note_origins",
    "place_of",
    "places_of_classes",
    "rows_of",
    "users_files",
]

Place: TypeAlias = dict[str, Any]
"""A ``name``, and the ``file``, the first ``line`` and the ``end`` of the code of that name."""

_MADE = "_leyden_made"  # an attribute of a loader
_FOREIGN = tuple(
    str(path)
    for path in (
        Path(__file__).parents[2],
        *(Path(package.__path__[0]) for package in (torch, lightning)),
        sysconfig.get_paths()["stdlib"],
        sysconfig.get_paths()["purelib"],
        sysconfig.get_paths()["platlib"],
    )
)
_MOST_FILES = 200
_drawn: dict[int, list[str]] = {}  # by sampler: digests of what it gave in the pass at hand


def place_of(thing: Any, name: str | None = None) -> Place | None:
    """Find the code of a class, a function or a method.

    Args:
        thing: It, or an object of the class.
        name: What to call it, or the name of a method of the class.

    Returns:
        ``None`` for what is not written in Python.
    """
    code = getattr(thing, name, None) if name else thing
    shown = getattr(code, "__qualname__", type(code).__qualname__)
    if not (inspect.isroutine(code) or inspect.isclass(code)):
        code = type(code)
    code = inspect.unwrap(code)
    try:
        lines, first = inspect.getsourcelines(code)
        file = str(Path(inspect.getsourcefile(code) or "").resolve())
    except (TypeError, OSError):
        return None
    place = {"name": shown, "file": file, "line": max(first, 1), "end": first + len(lines) - 1}
    return place | {"users": _is_users(file)}


def places_of_classes(thing: Any) -> list[Place]:
    """Find the code of the user's own classes that an object is of.

    Args:
        thing: The object.
    """
    places = (place_of(kind) for kind in type(thing).__mro__)
    return [place for place in places if place is not None and place["users"]]


def users_files() -> list[str]:
    """List the files of all modules that are the user's own."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    own = {str(Path(file).resolve()) for file in files if file and _is_users(file)}
    return sorted(own)[:_MOST_FILES]


def note_origins() -> None:
    """Have loaders remember the line that made them, and samplers the rows; for good."""
    make, begin = DataLoader.__init__, SkippingSampler.begin

    @wraps(make)
    def make_noted(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        vars(self)[_MADE] = _users_line()

    def begin_noted(self: SkippingSampler, skipped: int, stream: Stream | None) -> None:
        begin(self, skipped, stream)
        drawn = _drawn[id(self.sampler)] = []
        self._indices = _noted(self._indices, drawn)

    DataLoader.__init__ = make_noted  # type: ignore[method-assign] # undone by the process' end
    SkippingSampler.begin = begin_noted  # type: ignore[method-assign] # as above


def _noted(indices: Iterator[Any], drawn: list[str]) -> Iterator[Any]:
    for index in indices:
        drawn.append(hashlib.sha256(repr(index).encode()).hexdigest()[:16])
        yield index


def rows_of(loader: Any, batch_idx: int) -> str | None:
    """Say which rows of the dataset are in a batch, as a digest.

    Args:
        loader: What the user made.
        batch_idx: Index of the batch in the pass at hand.

    Returns:
        ``None`` where it is not known: the loader has no sampler, or is replayed.
    """
    sampler = getattr(loader, "batch_sampler", None) or getattr(loader, "sampler", None)
    drawn = _drawn.get(id(sampler), [])
    return drawn[batch_idx] if batch_idx < len(drawn) else None


def facts_of_loader(loader: Any) -> dict[str, Any]:
    """Say what a loader is made of, and where.

    Args:
        loader: What the user made.
    """
    dataset: Any = getattr(loader, "dataset", None)
    while hasattr(dataset, "dataset") and type(dataset).__module__.startswith("torch."):
        dataset = dataset.dataset  # of a subset
    reads = next((name for name in ("__getitem__", "__iter__") if hasattr(dataset, name)), None)
    batched, sampler = getattr(loader, "batch_sampler", None), getattr(loader, "sampler", None)
    is_own = batched is not None and not type(batched).__module__.startswith("torch.")
    sampler = batched if is_own else sampler
    return {
        "class": type(loader).__qualname__,
        "made": getattr(loader, _MADE, None),
        "written": place_of(loader, "__iter__"),
        "dataset": None if dataset is None else type(dataset).__qualname__,
        "reads": None if reads is None else place_of(dataset, reads),
        "sampler": None if sampler is None else type(sampler).__qualname__,
        "draws": None if sampler is None else place_of(sampler, "__iter__"),
        "collates": place_of(getattr(loader, "collate_fn", None)),
        "classes": [
            place for part in (sampler, dataset, loader) for place in places_of_classes(part)
        ],
    }


def _users_line() -> Place | None:
    for frame, line in traceback.walk_stack(inspect.currentframe()):
        if _is_users(frame.f_code.co_filename):
            file = str(Path(frame.f_code.co_filename).resolve())
            name = frame.f_code.co_qualname
            return {"name": name, "file": file, "line": line, "end": line, "users": True}
    return None


def _is_users(file: str | None) -> bool:
    if file is None or file.startswith("<"):
        return False
    return not str(Path(file).absolute()).startswith(_FOREIGN)

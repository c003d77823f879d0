"""From what a dataset is called to rows that can be packed, or to shards that are there."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from lightning import LightningDataModule
from typing_extensions import override

from leyden.errors import ConfigError, MissingPathError
from leyden.experiment.specs import as_recipe
from leyden.recipes import build
from leyden.shards.phases import phase_folder
from leyden.shards.sources import (
    TABLE_EXTENSIONS,
    ArraySource,
    Block,
    ImageFolder,
    IndexedSource,
    Source,
    Table,
    choose_source,
)
from leyden.types import Phase, Rows

__all__ = ["DATASETS", "ChosenRows", "Found", "Shards", "find_data", "has_parts", "indexed"]


@dataclass(frozen=True)
class Shards:
    """Shards that are there.

    Args:
        path: Their folder, or the file that holds all sets.
        options: Arguments of ``AutoDataModule``.
    """

    path: Path
    options: Mapping[str, Any] = field(default_factory=dict)


Found: TypeAlias = Source | Shards | LightningDataModule
"""Rows to be packed, shards, or a data module that does everything itself."""


def find_data(dataset: Any) -> Found:
    """Find out what a dataset is; nothing but headers and names is read.

    Args:
        dataset: See ``Dataset``.

    Raises:
        ConfigError: If it is of no known kind, or there is none.
        MissingPathError: If it is a path that does not exist.
        FormatError: If it is a file of an unknown format.
        DataError: If its content cannot be packed.
    """
    if dataset is None:
        problem = "Expected data to train and evaluate on, but none is known"
        raise ConfigError(f"{problem}. Pass `data`, to `Experiment.load` as well.")
    if isinstance(dataset, Mapping):
        return find_data(build(as_recipe(dataset), DATASETS, what="dataset"))
    if isinstance(dataset, Source | Shards | LightningDataModule):
        return dataset
    if isinstance(dataset, str | os.PathLike):
        return _from_path(Path(dataset))
    if isinstance(dataset, tuple) and len(dataset) not in (1, 2):
        problem = "Expected `dataset` to be (inputs, labels)"
        raise ConfigError(f"{problem}, but got a tuple of {len(dataset)}.")
    return _arrays(*dataset) if isinstance(dataset, tuple) else _arrays(dataset)


def _from_path(path: Path) -> Found:
    if not path.exists():
        problem = f"Expected `dataset` to exist, but got {str(path)!r}."
        raise MissingPathError(f"{problem} Pass its path as seen from {Path.cwd()}.")
    if path.is_dir():
        return ImageFolder(path) if _has_folders_only(path) else Shards(path)
    packable = path.suffix.lower() in (*TABLE_EXTENSIONS, ".npy")
    return choose_source(path) if packable else Shards(path)


def _has_folders_only(path: Path) -> bool:
    """Say whether a folder has class folders, and not shards or parts of shards."""
    entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    return bool(entries) and all(entry.is_dir() for entry in entries) and not has_parts(path)


def has_parts(path: Path) -> bool:
    """Say whether a folder has a folder for a phase, so that it is split already."""
    named = any((path / phase).is_dir() for phase in Phase)
    # Without it, `valid` and `invalid` may be classes of images.
    return named or phase_folder(path, Phase.TRAIN) is not None


def _digits() -> ArraySource:
    digits = import_module("sklearn.datasets").load_digits()  # slow to import
    images = (digits.images / 16).astype(np.float32)[:, None]
    return ArraySource(images, digits.target.astype(np.int64))


def _images(path: str, *, size: Any = None, color_mode: str = "rgb") -> ImageFolder:
    sides = tuple(size) if isinstance(size, list) else size
    return ImageFolder(Path(path), sides, color_mode)  # type: ignore[arg-type] # which checks it


def _shards(path: str, **options: Any) -> Shards:
    return Shards(Path(path), options)


def _table(path: str, *, label_column: str | None = None) -> Table:
    return Table(Path(path), label_column)


def _arrays(inputs: Any, labels: Any = None) -> Source:
    return choose_source(np.asarray(inputs) if isinstance(inputs, list) else inputs, labels)


DATASETS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "arrays": _arrays,
        "digits": _digits,
        "directory_image_classification": partial(_images, size=(256, 256)),
        "images": _images,
        "shards": _shards,
        "table": _table,
    }
)
"""What makes the data of each short name."""


def indexed(source: Source) -> IndexedSource:
    """Have rows of a source by index; what has an order of its own is read into memory."""
    return source if isinstance(source, IndexedSource) else _Whole(source)


class _Whole(IndexedSource):
    """All rows of a source that can be read in its own order only."""

    def __init__(self, source: Source) -> None:
        source.check()
        self._source, self._block = source, Block.join(list(source.blocks(0, 1024)))

    @property
    @override
    def num_rows(self) -> int:
        return len(self._block)

    @property
    @override
    def class_names(self) -> tuple[str, ...] | None:
        return self._source.class_names

    @property
    @override
    def column_names(self) -> tuple[str, ...] | None:
        return self._source.column_names

    @override
    def describe(self) -> dict[str, Any]:
        return self._source.describe()

    @override
    def read(self, rows: Rows) -> Block:
        return self._block.take(rows)


class ChosenRows(IndexedSource):
    """Some rows of another source.

    Args:
        source: All rows.
        rows: Indices of those chosen, ``(rows,)``, in any order.
        chosen_by: What they were chosen by, in words and numbers.
    """

    def __init__(self, source: IndexedSource, rows: Rows, chosen_by: Mapping[str, Any]) -> None:
        self._source, self._rows, self._chosen_by = source, rows, dict(chosen_by)

    @property
    @override
    def num_rows(self) -> int:
        return len(self._rows)

    @property
    @override
    def class_names(self) -> tuple[str, ...] | None:
        return self._source.class_names

    @property
    @override
    def column_names(self) -> tuple[str, ...] | None:
        return self._source.column_names

    @override
    def describe(self) -> dict[str, Any]:
        return {**self._source.describe(), "chosen_by": self._chosen_by}

    @override
    def read(self, rows: Rows) -> Block:
        return self._source.read(self._rows[rows])

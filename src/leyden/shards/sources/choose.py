"""From whatever is to be packed to a source of rows."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeGuard

import numpy as np
from torch.utils.data import DataLoader, IterableDataset

from leyden.errors import ConfigError, FormatError, MissingPathError, suggest
from leyden.shards.readers import NpyReader, reading
from leyden.shards.sources.arrays import ArraySource, as_array
from leyden.shards.sources.base import Source
from leyden.shards.sources.datasets import DatasetSource, Indexed, StreamSource
from leyden.shards.sources.images import ImageFolder
from leyden.shards.sources.tables import TABLE_EXTENSIONS, Table
from leyden.types import Array

__all__ = ["choose_source"]

_ARRAY_EXTENSION = ".npy"


def choose_source(source: object, labels: object = None) -> Source:
    """Find out what kind of thing is to be packed.

    Args:
        source: A source, an array, a tensor or what NumPy takes for one, such as a data frame of
            numbers; a path, or a dataset.
        labels: Labels of an array, or the path of such.

    Returns:
        It, as a source.

    Raises:
        ConfigError: If it is nothing that can be packed, or ``labels`` do not belong to it.
        MissingPathError: If it is a path that does not exist.
        FormatError: If it is a file of another kind.
        DataError: If its content cannot be packed.
    """
    if isinstance(source, (str, os.PathLike)) and Path(source).suffix.lower() == _ARRAY_EXTENSION:
        source = _map_array(Path(source))
    if not isinstance(source, Source) and hasattr(source, "__array__"):
        if isinstance(labels, (str, os.PathLike)):
            labels = _map_array(Path(labels))
        return ArraySource(as_array(source), labels)
    if labels is not None:
        problem = f"Expected `labels` for an array only, but `source` is {_name(source)}."
        raise ConfigError(f"{problem} Labels of a table are named by Table(..., label_column=...).")
    if isinstance(source, Source):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _from_path(Path(source))
    return _from_dataset(source)


def _map_array(path: Path) -> Array:
    if not path.is_file():
        raise MissingPathError(f"Expected an array, but there is no file {str(path)!r}.")
    with reading(path):
        NpyReader(path)  # for its checks
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _from_path(path: Path) -> Source:
    if path.is_dir():
        return ImageFolder(path)
    if not path.exists():
        problem = f"Expected `source` to exist, but got {str(path)!r}."
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        raise MissingPathError(f"{problem} {suggest(path.name, (entry.name for entry in beside))}")
    if path.suffix.lower() in TABLE_EXTENSIONS:
        return Table(path)
    known = (*TABLE_EXTENSIONS, _ARRAY_EXTENSION)
    problem = "Expected `source` to be a folder of class folders of images, or a file of a known"
    raise FormatError(f"{problem} format, but got {path.name!r}. {suggest(path.suffix, known)}")


def _from_dataset(source: object) -> Source:
    if isinstance(source, DataLoader):
        problem = "Expected `source` to give rows, but got a DataLoader, which gives batches."
        raise ConfigError(f"{problem} Pass its `.dataset`.")
    if not isinstance(source, Mapping):
        if _is_indexed(source):
            return DatasetSource(source)
        if isinstance(source, Iterable):
            return StreamSource(source)
    problem = "Expected `source` to be an array, a tensor, a path or a dataset"
    raise ConfigError(f"{problem}, but got {_name(source)}.")


def _is_indexed(source: object) -> TypeGuard[Indexed]:
    """Say whether rows have an index; every dataset of torch has the methods, but not the rows."""
    has_methods = hasattr(source, "__getitem__") and hasattr(source, "__len__")
    return has_methods and not isinstance(source, IterableDataset)


def _name(source: object) -> str:
    return f"{type(source).__module__}.{type(source).__qualname__}"

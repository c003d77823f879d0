"""Predictions for new rows, block by block, into a file."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from lightning import LightningModule
from omegaconf import OmegaConf
from pyarrow import csv as arrow_csv
from pyarrow import parquet
from torch import Tensor
from typing_extensions import override

from leyden.cli.trained import load_trained
from leyden.data import AutoDataModule, TimeWindows
from leyden.data.origin import rows_of
from leyden.errors import ConfigError, DataError, MissingPathError, suggest
from leyden.evaluation.records import Column, GrowingArray
from leyden.experiment.learned import ExperimentData
from leyden.experiment.prediction import (
    Chains,
    RawRows,
    load_chains,
    predict_rows,
    states_by_name,
    transform,
)
from leyden.experiment.saving import load_experiment
from leyden.files import replacing
from leyden.shards import read_manifest
from leyden.shards.sources import TABLE_EXTENSIONS, Source, Table, choose_source
from leyden.types import Array, Phase

__all__ = ["OUTPUTS", "Predicted", "Predictor", "find_predictor", "predict_file"]

_ROWS_AT_ONCE = 1024
_DISCOVERY = ("reader", "inputs", "leading_axis", "rows_per_set", "pattern")


@dataclass(frozen=True)
class Predictor:
    """Something trained that predicts.

    Args:
        module: With its weights.
        prepare: Preprocesses rows as those that were trained on.
        windows: How rows are cut along time, if they are.
        class_names: What the classes 0, 1, ... are called, if they have names.
        column_names: What the columns of a row are called, if they have names.
        options: How folders are to be read: arguments of ``AutoDataModule``.
    """

    module: LightningModule
    prepare: Callable[[RawRows], dict[str, Tensor]]
    windows: TimeWindows | None
    class_names: tuple[str, ...] | None
    column_names: tuple[str, ...] | None
    options: Mapping[str, Any]

    def __call__(self, rows: RawRows) -> dict[str, Array]:
        """Predict.

        Args:
            rows: ``(rows, ...)``, as the data has them on disk.

        Returns:
            ``class``, ``class_name`` and ``probabilities``, or what else the model gives, by name.
        """
        found = predict_rows(self.module, self.prepare(rows), self.windows)
        if "classes" in found and "class" not in found:
            found = {"class": found.pop("classes"), **found}
        numbers = found.get("class")
        if self.class_names is not None and numbers is not None and numbers.ndim == 1:
            names = np.array(self.class_names)
            found = {"class": numbers, "class_name": names[numbers], **found}
        return found


@dataclass(frozen=True, slots=True)
class Predicted:
    """What was predicted.

    Args:
        rows: For how many rows.
        classes: How many of each class, if there are classes.
    """

    rows: int
    classes: Mapping[Any, int]


def find_predictor(
    path: Path, *, checkpoint: str, threshold: float | None, trust: Collection[str]
) -> Predictor:
    """Load what predicts.

    Args:
        path: The folder of a run, or a saved experiment.
        checkpoint: Of a run; see ``find_checkpoint``.
        threshold: Instead of the model's own; ``None`` for that.
        trust: See ``Experiment.load``.

    Raises:
        LeydenError: If there is no such thing, or it is broken.
    """
    found = _of_experiment(path, trust) if path.is_file() else _of_run(path, checkpoint)
    if threshold is not None:
        if not hasattr(found.module, "threshold"):
            kind = type(found.module).__qualname__
            raise ConfigError(f"Expected a classifier for a `threshold`, but got {kind}.")
        setattr(found.module, "threshold", threshold)  # noqa: B010 - not of every module
    return found


def _of_experiment(path: Path, trust: Collection[str]) -> Predictor:
    saved, module = load_experiment(path, trust=trust, model=None)
    data = ExperimentData(saved.data, None, saved.learned)
    options = {name: (saved.data.options or {}).get(name) for name in _DISCOVERY}
    kept = {name: value for name, value in options.items() if value is not None}
    names = saved.learned.class_names, saved.learned.column_names
    return Predictor(module, data.prepare, data.windows, *names, kept)


def _of_run(path: Path, checkpoint: str) -> Predictor:
    trained = load_trained(path, checkpoint)
    section: Any = OmegaConf.to_container(trained.config.data)
    chains = _chains(trained.state, section)
    return Predictor(
        trained.module,
        lambda rows: transform(rows, chains),
        TimeWindows.of(section.get("windows")),
        _class_names(trained.state, section),
        tuple(trained.state.get(AutoDataModule.__qualname__, {}).get("columns", ())) or None,
        {name: section[name] for name in _DISCOVERY if section.get(name) is not None},
    )


def _chains(state: Mapping[str, Any], section: Mapping[str, Any]) -> Chains:
    learned = state.get(AutoDataModule.__qualname__, {}).get("preparation")
    recipes = section.get("preprocessors") or None
    return load_chains(states_by_name(learned), recipes) if learned else {}


def _class_names(state: Mapping[str, Any], section: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Look up what the classes are called: the words of labels, or what packed data says."""
    if words := state.get(AutoDataModule.__qualname__, {}).get("classes"):
        return tuple(words)
    if section.get("path") is None:
        return None
    folder = Path(section["path"])
    for place in (folder, folder / Phase.TRAIN):
        if (place / "manifest.json").is_file():
            return read_manifest(place).class_names
    return None


def predict_file(
    predictor: Predictor,
    source: Path,
    target: Path,
    *,
    label_column: str | None = None,
    drop: Sequence[str] = (),
) -> Predicted:
    """Predict for every row of a file or a folder, and write that, whole or not at all.

    Args:
        predictor: What predicts.
        source: A folder of shards, or a file of rows.
        target: A ``.parquet``, ``.csv`` or ``.npy`` file to make or replace.
        label_column: A column of a table that is no input.
        drop: More of them.

    Returns:
        How many rows there were, and how many of each class.

    Raises:
        LeydenError: If there are no such rows, or they do not fit the model.
    """
    if target.suffix not in OUTPUTS:
        problem = (
            f"Expected the predictions to go to a file of a known kind, but got {target.name!r}."
        )
        raise ConfigError(f"{problem} {suggest(target.suffix, OUTPUTS)}")
    rows = _rows_of(source, predictor, label_column, drop)
    counts: dict[Any, int] = {}
    total = 0
    with replacing(target) as temporary, closing(OUTPUTS[target.suffix](temporary)) as output:
        for keys, inputs in rows:
            found = predictor(inputs)
            output.add({**keys, **found})
            total += len(keys["row"])
            chosen = found.get("class_name", found.get("class"))
            if chosen is not None and chosen.ndim == 1:
                for name, count in zip(*np.unique(chosen, return_counts=True), strict=True):
                    counts[name.item()] = counts.get(name.item(), 0) + int(count)
        if not total:
            raise DataError(f"Expected at least one row in {source}, but got none.")
    return Predicted(total, counts)


def _rows_of(
    path: Path, predictor: Predictor, label_column: str | None, drop: Sequence[str]
) -> Iterator[tuple[dict[str, Array], RawRows]]:
    """Read rows, with their places."""
    if not path.exists():
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        problem = f"Expected `INPUT` to be a folder or a file of rows, but got {str(path)!r}"
        raise MissingPathError(f"{problem}, which does not exist. {suggest(path.name, beside)}")
    if path.suffix.lower() in TABLE_EXTENSIONS and path.is_file():
        table = Table(path, label_column, drop)
        return _from_source(table, _places(table.column_names, predictor.column_names, path))
    if label_column is not None or drop:
        option = "--drop" if drop else "--label-column"
        raise ConfigError(f"Expected a table for `{option}`, but got {path.name!r}.")
    if path.suffix.lower() == ".npy":
        return _from_source(choose_source(path), None)
    return _from_shards(path, predictor)


def _places(
    found: Sequence[str] | None, trained: Sequence[str] | None, path: Path
) -> list[int] | None:
    """Find each column that was trained on; ``None`` where all are in their order, or nameless.

    Raises:
        DataError: If one is missing, or there are others.
    """
    if found is None or trained is None or tuple(found) == tuple(trained):
        return None
    missing = [name for name in trained if name not in found]
    unknown = [name for name in found if name not in trained]
    if missing or unknown:
        parts = (("without", missing), ("with", unknown))
        got = " and ".join(
            f"{word} {', '.join(map(repr, names))}" for word, names in parts if names
        )
        problem = f"Expected the columns that the model was trained on, but got {path.name} {got}."
        remedy = "Leave other columns out with --drop." if unknown else "Add what is missing."
        raise DataError(f"{problem} {remedy}")
    return [found.index(name) for name in trained]


def _from_source(
    source: Source, places: list[int] | None
) -> Iterator[tuple[dict[str, Array], RawRows]]:
    source.check()
    start = 0
    for block in source.blocks(0, _ROWS_AT_ONCE):
        inputs = block.inputs if places is None else block.inputs[:, places]
        yield {"row": np.arange(start, start + len(block))}, inputs
        start += len(block)


def _from_shards(path: Path, predictor: Predictor) -> Iterator[tuple[dict[str, Array], RawRows]]:
    inside = path / Phase.PREDICT
    data = AutoDataModule(
        inside if inside.is_dir() else path,
        labels=None,
        batch_size=_ROWS_AT_ONCE,
        shuffle="none",
        **predictor.options,
    )
    found = data.catalogs[Phase.TRAIN].column_names
    places = _places(found, predictor.column_names, path)
    for index in range(len(data.plan(Phase.TRAIN, 0))):
        origin = data.origin(Phase.TRAIN, 0, index)
        keys = dict(zip(("set_number", "row"), rows_of(origin.slices), strict=True))
        batch: Any = data.fetch(Phase.TRAIN, 0, index)
        yield keys, batch if places is None else batch[:, places]


class _Output(ABC):
    """A file that predictions are added to.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: tuple[Column, ...] = ()
        self._file: Any = None

    def add(self, rows: Mapping[str, Array]) -> None:
        """Add rows, each ``(rows, ...)``, by name."""
        if not self._columns:
            self._columns = tuple(Column.of(name, array) for name, array in rows.items())
            self._file = self._open(rows)
        self._write(rows)

    @abstractmethod
    def _open(self, rows: Mapping[str, Array]) -> Any:
        """Begin the file, as the first rows are."""

    @abstractmethod
    def _write(self, rows: Mapping[str, Array]) -> None:
        """Write rows."""

    def close(self) -> None:
        """End the file."""
        if self._file is not None:
            self._file.close()


class _Parquet(_Output):
    """A table, in which several numbers of a row are a list."""

    @override
    def _open(self, rows: Mapping[str, Array]) -> Any:
        fields = [(column.name, column.arrow_type) for column in self._columns]
        return parquet.ParquetWriter(self._path, pa.schema(fields))

    @override
    def _write(self, rows: Mapping[str, Array]) -> None:
        cells = [column.to_arrow(rows[column.name]) for column in self._columns]
        self._file.write_table(pa.Table.from_arrays(cells, schema=self._file.schema))


class _Csv(_Output):
    """A table, in which several numbers of a row are columns ``<name>_0``, ``<name>_1``, ..."""

    @override
    def _open(self, rows: Mapping[str, Array]) -> Any:
        return arrow_csv.CSVWriter(self._path, self._table(rows).schema)

    @override
    def _write(self, rows: Mapping[str, Array]) -> None:
        self._file.write_table(self._table(rows))

    def _table(self, rows: Mapping[str, Array]) -> Any:
        flat: dict[str, Any] = {}
        for name, array in rows.items():
            if array.ndim == 1:
                flat[name] = array.astype(object) if array.dtype.kind == "U" else array
            else:
                wide = array.reshape(len(array), -1)
                flat |= {f"{name}_{index}": wide[:, index] for index in range(wide.shape[1])}
        return pa.table(flat)


class _Npy(_Output):
    """An array with the predictions alone; with fields by name, if there are several."""

    @override
    def _open(self, rows: Mapping[str, Array]) -> Any:
        names = [
            column.name for column in self._columns if column.name not in ("set_number", "row")
        ]
        if len(names) == 1:
            self._names, only = names, rows[names[0]]
            return GrowingArray(self._path, only.dtype, only.shape[1:])
        self._names = [column.name for column in self._columns]
        fields = [(name, rows[name].dtype, rows[name].shape[1:]) for name in self._names]
        self._dtype = np.dtype(fields)
        return GrowingArray(self._path, self._dtype)

    @override
    def _write(self, rows: Mapping[str, Array]) -> None:
        if len(self._names) == 1:
            self._file.add(rows[self._names[0]])
            return
        joined = np.empty(len(rows["row"]), self._dtype)
        for name in self._names:
            joined[name] = rows[name]
        self._file.add(joined)


OUTPUTS: Mapping[str, type[_Output]] = {".parquet": _Parquet, ".csv": _Csv, ".npy": _Npy}
"""Kinds of files, by how their names end."""

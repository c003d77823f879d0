"""Files that predictions are written to, block by block."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet
from typing_extensions import override

from leyden.evaluation.records import Column, GrowingArray
from leyden.types import Array

__all__ = ["OUTPUTS", "PredictionFile"]


class PredictionFile(ABC):
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


class _Parquet(PredictionFile):
    """A table, in which several numbers of a row are a list."""

    @override
    def _open(self, rows: Mapping[str, Array]) -> Any:
        fields = [(column.name, column.arrow_type) for column in self._columns]
        return parquet.ParquetWriter(self._path, pa.schema(fields))

    @override
    def _write(self, rows: Mapping[str, Array]) -> None:
        cells = [column.to_arrow(rows[column.name]) for column in self._columns]
        self._file.write_table(pa.Table.from_arrays(cells, schema=self._file.schema))


class _Csv(PredictionFile):
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


class _Npy(PredictionFile):
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


OUTPUTS: Mapping[str, type[PredictionFile]] = {".parquet": _Parquet, ".csv": _Csv, ".npy": _Npy}
"""Kinds of files, by how their names end."""

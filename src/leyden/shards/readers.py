"""Open arrays of the built-in formats.

Shape and dtype come from the header alone where the format has one. Nothing here unpickles.
"""

import csv
import math
import zipfile
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.lib import format as npy_format

from leyden.errors import ShardError, suggest
from leyden.types import Array, Key, Rows

__all__ = ["CsvReader", "NpyReader", "NpzReader", "csv_columns", "is_header", "npz_keys"]


class NpyReader:
    """A ``.npy`` file, mapped into memory.

    Args:
        path: The file.

    Raises:
        ShardError: If the file is shorter than its header says, or holds Python objects.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.shape, fortran_order, self.dtype = _npy_header(file, path)
            offset = file.tell()
        expected = offset + math.prod(self.shape) * self.dtype.itemsize
        if (size := path.stat().st_size) < expected:
            problem = f"Expected {expected} bytes, as the header says, but got {size}: truncated."
            raise ShardError(problem, path=path)
        self._path, self._offset, self._order = path, offset, "F" if fortran_order else "C"

    @cached_property
    def _array(self) -> Array:
        if math.prod(self.shape) == 0:  # an empty file cannot be mapped
            return np.empty(self.shape, self.dtype)
        return np.memmap(
            self._path,
            self.dtype,
            "r",
            self._offset,
            self.shape,
            "F" if self._order == "F" else "C",
        )

    def read(self, rows: Rows) -> Array:
        """Copy rows out."""
        return np.take(self._array, rows, axis=0)


class NpzReader:
    """One array of a ``.npz`` archive; decompressed whole at the first read.

    Args:
        path: The file.
        key: Name of the array; ``None`` if there is one only.

    Raises:
        ShardError: If the archive is damaged, holds Python objects, or has no such array.
    """

    def __init__(self, path: Path, key: Key = None) -> None:
        keys = npz_keys(path)
        name = keys[0] if key is None and len(keys) == 1 else key
        if name not in keys:
            raise ShardError(f"Expected an array {key!r}. {suggest(str(key), keys)}", path=path)
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            self.shape, _, self.dtype = _npy_header(file, path)
        self._path, self._name = path, str(name)

    @cached_property
    def _array(self) -> Array:
        with np.load(self._path, allow_pickle=False) as archive:
            array: Array = archive[self._name]
        return array

    def read(self, rows: Rows) -> Array:
        """Copy rows out."""
        return np.take(self._array, rows, axis=0)


class CsvReader:
    """A table of numbers with or without a header line; parsed whole at once.

    Args:
        path: The file.
        key: A column name for a vector, names for a table of those columns, ``None`` for all.
        delimiter: What stands between two cells.

    Raises:
        ShardError: If a column is missing, is not numeric, or has gaps inside.
    """

    def __init__(self, path: Path, key: Key = None, *, delimiter: str = ",") -> None:
        table = _read_csv(path, delimiter, key)
        if isinstance(key, str):
            self._array = _column(table, key, path)
        else:
            names = tuple(table.column_names) if key is None else key
            columns = [_column(table, name, path) for name in names]
            if len({len(column) for column in columns}) > 1:
                problem = "Expected a number in every cell, but the ends of some columns are empty."
                raise ShardError(problem, path=path)
            self._array = np.stack(columns, axis=1)
        self.shape, self.dtype = self._array.shape, self._array.dtype

    def read(self, rows: Rows) -> Array:
        """Copy rows out."""
        return np.take(self._array, rows, axis=0)


def npz_keys(path: Path) -> tuple[str, ...]:
    """List the arrays of an ``.npz`` archive, in the order they were written."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        raise ShardError("Expected an .npz archive, but it is damaged.", path=path) from None
    return tuple(name.removesuffix(".npy") for name in names if name.endswith(".npy"))


def csv_columns(path: Path, *, delimiter: str = ",") -> tuple[str, ...]:
    """Read the first line of a table, whether it names the columns or not.

    Args:
        path: The file.
        delimiter: What stands between two cells.

    Raises:
        ShardError: If the file is empty or is not text.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = next(csv.reader(file, delimiter=delimiter), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise ShardError(f"Expected a table of text, but got: {error}.", path=path) from None
    if not first:
        raise ShardError("Expected a table, but the file is empty.", path=path)
    return tuple(cell.strip() for cell in first)


def is_header(cells: Sequence[str]) -> bool:
    """Say whether a first line names columns: any cell that is no number does.

    Example:
        >>> is_header(["age", "1"]), is_header(["0.5", "1"])
        (True, False)
    """
    return not all(_is_number(cell) for cell in cells)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell == ""
    return True


def _read_csv(path: Path, delimiter: str, key: Key) -> pa.Table:
    first = csv_columns(path, delimiter=delimiter)
    wanted = {key} if isinstance(key, str) else set(key or ())
    # Columns that are named by numbers alone are known by being asked for.
    named = is_header(first) or (bool(wanted) and wanted <= set(first))
    names = first if named else None
    return _parse_csv(path, path.stat().st_mtime_ns, delimiter, names)


@lru_cache(maxsize=4)  # a table of labels is asked for column by column
def _parse_csv(
    path: Path, _modified: int, delimiter: str, names: tuple[str, ...] | None
) -> pa.Table:
    try:
        return pa_csv.read_csv(
            path,
            read_options=pa_csv.ReadOptions(
                column_names=list(names) if names else None,
                skip_rows=1 if names else 0,
                autogenerate_column_names=not names,
            ),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter),
        )
    except pa.ArrowInvalid as error:
        problem = f"Expected a table of numbers, but it cannot be parsed: {error}."
        raise ShardError(problem, path=path) from None


def _column(table: pa.Table, name: str, path: Path) -> Array:
    if name not in table.column_names:
        problem = f"Expected a column {name!r}. {suggest(name, table.column_names)}"
        raise ShardError(problem, path=path)
    column = table.column(name)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        problem = f"Expected numbers in column {name!r}, but got {column.type}. Encode them first."
        raise ShardError(problem, path=path)
    filled = column.drop_null()
    if column.slice(0, len(filled)).null_count:  # a column may end early, but has no gaps
        problem = f"Expected a number in every row of column {name!r}, but some cells are empty."
        raise ShardError(problem, path=path)
    values: Array = filled.to_numpy()
    return values


def _npy_header(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = npy_format.read_magic(file)
        read = (
            npy_format.read_array_header_1_0
            if version == (1, 0)
            else npy_format.read_array_header_2_0
        )
        shape, fortran_order, dtype = read(file)
    except (ValueError, EOFError) as error:
        raise ShardError(f"Expected a .npy header, but got: {error}", path=path) from None
    if dtype.hasobject:
        problem = (
            "Expected numbers, but got Python objects, which are not loaded because unpickling"
            " runs code. Save the array with a numeric dtype."
        )
        raise ShardError(problem, path=path)
    return tuple(shape), fortran_order, dtype

"""Tables of numbers as text: ``.csv`` and ``.tsv``, with or without a line of column names."""

import csv
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from leyden.errors import ShardError, suggest
from leyden.shards.readers import reading
from leyden.types import Array, Key, Rows

__all__ = ["CsvReader", "csv_columns", "is_header"]

# While it reads, Arrow would take Ctrl-C and SIGTERM away from whoever trains.
pa.enable_signal_handlers(False)


class CsvReader:
    """A table of numbers with or without a header line; parsed whole at once.

    Several columns make a float64 array; a single column that is asked for by its name, such as
    that of the labels, keeps whole numbers whole.

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
            # One dtype whatever the file: a shard may happen to hold whole numbers only.
            self._array = np.stack(columns, axis=1).astype(np.float64)
        self.shape, self.dtype = self._array.shape, self._array.dtype

    def read(self, rows: Rows) -> Array:
        """Copy rows out."""
        return np.take(self._array, rows, axis=0)


def csv_columns(path: Path, *, delimiter: str = ",") -> tuple[str, ...]:
    """Read the first line of a table, whether it names the columns or not.

    Args:
        path: The file.
        delimiter: What stands between two cells.

    Raises:
        ShardError: If the file is empty or is not text.
    """
    try:
        with reading(path), path.open(newline="", encoding="utf-8-sig") as file:
            first = next(csv.reader(file, delimiter=delimiter), [])
    except csv.Error as error:
        raise ShardError(f"Expected a table of text, but got: {error}.", path=path) from None
    if not first:
        raise ShardError("Expected a table, but got an empty first line.", path=path)
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
    facts = path.stat()
    return _parse_csv(path, (facts.st_mtime_ns, facts.st_size), delimiter, names)


@lru_cache(maxsize=4)  # a table of labels is asked for column by column
def _parse_csv(
    path: Path, _state: tuple[int, int], delimiter: str, names: tuple[str, ...] | None
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
    if pa.types.is_null(column.type):
        raise ShardError(f"Expected numbers in column {name!r}, but got none.", path=path)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        problem = f"Expected numbers in column {name!r}, but got {column.type}. Encode them first."
        raise ShardError(problem, path=path)
    filled = column.drop_null()
    if column.slice(0, len(filled)).null_count:  # a column may end early, but has no gaps
        problem = f"Expected a number in every row of column {name!r}, but some cells are empty."
        raise ShardError(problem, path=path)
    values: Array = filled.to_numpy()
    return values

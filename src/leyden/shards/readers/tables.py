"""Tables of numbers: ``.csv`` and ``.tsv``, with or without column names; and ``.parquet``."""

import re
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from leyden.errors import ShardError, suggest
from leyden.shards.readers.base import ArrayReader, FileState, reading, state_of
from leyden.shards.readers.first_line import (
    EMPTY,
    count_heading,
    csv_columns,
    find_delimiter,
    is_header,
)
from leyden.shards.readers.lines import BLOCK_BYTES, count_blank_end, parsing
from leyden.shards.readers.words import TEXT
from leyden.types import Array, Key

__all__ = [
    "CsvReader",
    "ParquetReader",
    "parquet_columns",
]

_SHOWN = 10  # names in an error
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")  # which rows had, and is no column

# While it reads, Arrow would take Ctrl-C and SIGTERM away from whoever trains.
pa.enable_signal_handlers(False)


class CsvReader(ArrayReader):
    """A table of numbers with or without a header line; parsed whole at once.

    Several columns make a float64 array; a single column that is asked for by its name, such as
    that of the labels, keeps whole numbers whole, and words as they are.

    Args:
        path: The file.
        key: A column name for a vector, names for a table of those columns, ``None`` for all.
        delimiter: What stands between two cells; ``None`` for what ``find_delimiter`` finds.

    Raises:
        ShardError: If a column is missing, is not numeric, or has gaps inside.
    """

    def __init__(self, path: Path, key: Key = None, *, delimiter: str | None = None) -> None:
        array = _to_array(_read_csv(path, delimiter or find_delimiter(path), key), key, path)
        super().__init__(array.shape, _dtype_of(array), lambda: array)


class ParquetReader(ArrayReader):
    """A Parquet table of numbers; the columns wanted are read whole at the first read.

    Its columns are those of ``CsvReader``; one that is asked for by its name is read at once.

    Args:
        path: The file.
        key: A column name for a vector, names for a table of those columns, ``None`` for all.

    Raises:
        ShardError: If a column is missing, is not numeric, or has gaps inside.
    """

    def __init__(self, path: Path, key: Key = None) -> None:
        with path.open("rb") as file:
            table = pq.ParquetFile(file)
            schema, facts = table.schema_arrow, table.metadata
        if isinstance(key, str):
            array = _read_parquet(path, key)  # it may end early
            super().__init__(array.shape, _dtype_of(array), lambda: array)
            return
        names = parquet_columns(path) if key is None else key
        _check_columns(schema, names, path)
        _check_gaps(facts, names, path)
        shape = (facts.num_rows, len(names))
        super().__init__(shape, np.dtype(np.float64), partial(_read_parquet, path, names))


def parquet_columns(path: Path) -> tuple[str, ...]:
    """List the columns of a Parquet table.

    Raises:
        ShardError: If the file is missing or damaged.
    """
    with reading(path), path.open("rb") as file:
        names = pq.ParquetFile(file).schema_arrow.names
    return tuple(name for name in names if not _PANDAS_INDEX.fullmatch(name))


def _read_csv(path: Path, delimiter: str, key: Key) -> pa.Table:
    first = csv_columns(path, delimiter=delimiter)
    wanted = {key} if isinstance(key, str) else set(key or ())
    # Columns that are named by numbers alone are known by being asked for.
    named = (bool(wanted) and wanted <= set(first)) or is_header(first)
    names = first if named else tuple(f"f{index}" for index in range(len(first)))
    return _parse_csv(path, state_of(path), delimiter, names, has_header=named)


@lru_cache(maxsize=4)  # a table of labels is asked for column by column
def _parse_csv(
    path: Path, _state: FileState, delimiter: str, names: tuple[str, ...], *, has_header: bool
) -> pa.Table:
    num_lines = count_heading(path, delimiter) if has_header else 0
    table = _read_cells(path, delimiter, names, num_lines)
    # What Arrow takes for dates and times are words to leyden.
    if times := [field.name for field in table.schema if pa.types.is_temporal(field.type)]:
        table = _read_cells(path, delimiter, names, num_lines, times)
    table = table.slice(0, table.num_rows - count_blank_end(path, len(names)))
    if not table.num_rows:
        raise ShardError("Expected rows below the names of the columns, but got none.", path=path)
    return table


def _read_cells(
    path: Path, delimiter: str, names: tuple[str, ...], skip: int, texts: Sequence[str] = ()
) -> pa.Table:
    try:
        return pa_csv.read_csv(
            path,
            read_options=pa_csv.ReadOptions(
                column_names=list(names),  # to find them, it asks for the end of the line
                skip_rows=skip,
                block_size=BLOCK_BYTES,
            ),
            parse_options=parsing(delimiter, len(names)),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(texts, pa.string()),
                null_values=list(EMPTY),
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        problem = f"Expected a table of numbers, but it cannot be parsed: {error}."
        raise ShardError(problem, path=path) from None


def _read_parquet(path: Path, key: str | tuple[str, ...]) -> Array:
    names = [key] if isinstance(key, str) else list(key)
    with path.open("rb") as file:
        table = pq.ParquetFile(file)
        for name in names:
            _check_column(table.schema_arrow, name, path, takes_text=isinstance(key, str))
        return _to_array(table.read(names), key, path)


def _to_array(table: pa.Table, key: Key, path: Path) -> Array:
    if isinstance(key, str):
        return _column(table, key, path, takes_text=True)
    names = tuple(table.column_names) if key is None else key
    _check_columns(table.schema, names, path)
    columns = [_column(table, name, path) for name in names]
    for name, column in zip(names, columns, strict=True):
        if len(column) < table.num_rows:  # rows of inputs do not end early
            raise _gap("number", name, len(column), path)
    # One dtype whatever the file: a shard may happen to hold whole numbers only.
    return np.stack(columns, axis=1).astype(np.float64, copy=False)


def _dtype_of(array: Array) -> np.dtype[Any]:
    return TEXT if array.dtype.kind == "U" else array.dtype


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _check_columns(schema: pa.Schema, names: Sequence[str], path: Path) -> None:
    """Make sure that inputs are numbers, all columns at once."""
    if len(set(names)) < len(names):
        raise _twice(names, path)
    texts = [name for name in names if any(map(_is_text, _types_of(schema, name)))]
    if texts:
        problem = f"Expected numbers in every column of inputs, but got text in {_quote(texts)}."
        remedy = "Call the column of labels 'label', or make shards without the others:"
        command = f"leyden pack {path.name} DIR --label-column NAME --drop NAME ..."
        raise ShardError(f"{problem} {remedy} {command}", path=path)
    for name in names:
        _check_column(schema, name, path)


def _quote(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


def _check_column(schema: pa.Schema, name: str, path: Path, *, takes_text: bool = False) -> None:
    types = _types_of(schema, name)
    if not types:
        raise ShardError(f"Expected a column {name!r}. {suggest(name, schema.names)}", path=path)
    if len(types) > 1:
        raise _twice(schema.names, path)
    (kind,) = types
    if pa.types.is_null(kind):
        raise ShardError(f"Expected numbers in column {name!r}, but got none.", path=path)
    if takes_text and _is_text(kind):
        return
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        problem = f"Expected numbers in column {name!r}, but got {kind}. Encode them first."
        raise ShardError(problem, path=path)


def _types_of(schema: pa.Schema, name: str) -> list[pa.DataType]:
    """Types of the columns of a name; ``schema.names`` is made anew each time, which takes long."""
    return [schema.field(index).type for index in schema.get_all_field_indices(name)]


def _twice(names: Sequence[str], path: Path) -> ShardError:
    problem = f"Expected each column name once, but got {_quote(names)}."
    return ShardError(f"{problem} Rename the second of a name.", path=path)


def _check_gaps(facts: pq.FileMetaData, names: Sequence[str], path: Path) -> None:
    """Find empty cells before the table is read, if whoever wrote it has counted them."""
    if not names:
        raise ShardError("Expected a column of numbers, but got none.", path=path)
    for group in range(facts.num_row_groups):
        for index in range(facts.num_columns):
            chunk = facts.row_group(group).column(index)
            counted = chunk.path_in_schema in names and chunk.statistics
            if counted and chunk.statistics.null_count:
                name = chunk.path_in_schema
                raise _gap("number", name, _first(_read_column(path, name).is_null()), path)


def _read_column(path: Path, name: str) -> pa.ChunkedArray:
    with path.open("rb") as file:
        return pq.ParquetFile(file).read([name]).column(name)


def _first(mask: pa.ChunkedArray) -> int:
    """Where the first true value is."""
    index: int = pc.index(mask, pa.scalar(value=True)).as_py()
    return index


def _gap(what: str, name: str, index: int, path: Path) -> ShardError:
    """Say where a value is missing; rows are counted from 1, without the line of names."""
    problem = f"Expected a {what} in every row of column {name!r}, but row {index + 1} is empty."
    remedy = f"Fill it, or leave the column out: leyden pack {path.name} DIR --drop {name}."
    return ShardError(f"{problem} {remedy}", path=path)


def _column(table: pa.Table, name: str, path: Path, *, takes_text: bool = False) -> Array:
    _check_column(table.schema, name, path, takes_text=takes_text)
    column = table.column(name)
    if _is_text(column.type):
        return _words(column, name, path)
    filled = column.drop_null()
    if column.slice(0, len(filled)).null_count:  # a column may end early, but has no gaps
        raise _gap("number", name, _first(column.is_null()), path)
    values: Array = filled.to_numpy()
    return values


def _words(column: pa.ChunkedArray, name: str, path: Path) -> Array:
    """Take words out of a column, without white space around them; it may end early."""
    texts = pc.utf8_trim_whitespace(pc.fill_null(pc.cast(column, pa.string()), ""))
    values: Array = np.array(texts.to_pylist(), np.str_)
    (filled,) = values.astype(bool).nonzero()
    num_rows = int(filled[-1]) + 1 if len(filled) else 0
    if num_rows != len(filled):
        raise _gap("word", name, int((values == "").argmax()), path)
    return values[:num_rows]

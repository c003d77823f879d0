"""Tables to be packed: ``.csv``, ``.tsv`` and ``.parquet``, read in pieces."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
from typing_extensions import override

from leyden.errors import DataError, FormatError, MissingPathError, suggest
from leyden.shards.labels import LABEL_NAMES
from leyden.shards.readers import (
    BLOCK_BYTES,
    EMPTY,
    count_blank_end,
    count_heading,
    csv_columns,
    find_delimiter,
    is_header,
    parquet_columns,
    parsing,
    reading,
    without_blank_end,
)
from leyden.shards.sources.base import Block, Source, digest_files
from leyden.shards.sources.columns import MAX_CLASSES, Column, encode, look, numbers
from leyden.types import Array

__all__ = ["TABLE_EXTENSIONS", "Table"]

_DELIMITERS = {".csv": None, ".tsv": "\t"}  # None is found out
_LOOK_ROWS = 1 << 14

TABLE_EXTENSIONS = (*_DELIMITERS, ".parquet")
"""How the names of tables end."""


@dataclass(frozen=True)
class Table(Source):
    """Rows of a ``.csv``, ``.tsv`` or ``.parquet`` file: numbers, and perhaps a column of labels.

    An empty cell, or one with ``NA`` or ``null``, is a gap, which is refused; ``nan`` is a number.
    Numbers of text files become float64, or int64 where they are labels and all of them whole;
    those of ``.parquet`` files get the dtype that holds all of their columns. Texts in the column
    of labels become classes in alphabetical order.

    Args:
        path: The file.
        label_column: Name of the column of labels; ``None`` for ``y``, ``label``, ``labels``,
            ``target`` or ``targets``, if there is one. Columns of a text file without a line of
            names are called ``f0``, ``f1``, ...
        drop: Names of columns to leave out, such as a number of the row or a date.

    Raises:
        MissingPathError: If there is no such file.
        FormatError: If it is no table by its name.
        DataError: If it is not plain which column has the labels or whether the first line has
            names, or one to drop is not there.
    """

    path: Path
    label_column: str | None = None
    drop: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "drop", tuple(self.drop))
        if not self.path.is_file():
            raise MissingPathError(f"Expected a table, but there is no file {str(self.path)!r}.")
        if self._extension not in TABLE_EXTENSIONS:
            known = " ".join(TABLE_EXTENSIONS)
            problem = f"Expected a table ({known}), but got {self.path.name!r}."
            raise FormatError(f"{problem} {suggest(self._extension, TABLE_EXTENSIONS)}")
        if len(set(self._names)) < len(self._names):
            problem = f"Expected each column name once in {self.path}"
            raise DataError(f"{problem}, but got {', '.join(self._names)}.")
        for name in self.drop:
            if name not in self._names:
                problem = f"Expected columns of {self.path} in `drop`, but got {name!r}."
                raise DataError(f"{problem} {suggest(name, self._names)}")
        if self._label is not None and self._label not in self._names:
            problem = f"Expected `label_column` to be a column of {self.path}"
            near = suggest(self._label, self._names)
            raise DataError(f"{problem}, but got {self._label!r}. {near}")
        if self._label in self.drop:
            problem = f"Expected `label_column` to be none of `drop`, but got {self._label!r}"
            raise DataError(f"{problem} for both. Remove one of the two.")
        if not self._input_names:
            problem = f"Expected columns of inputs in {self.path}"
            raise DataError(f"{problem}, but got {', '.join(self._names) or 'none'} only.")

    @property
    def _extension(self) -> str:
        return self.path.suffix.lower()

    @cached_property
    def _delimiter(self) -> str:
        return _DELIMITERS[self._extension] or find_delimiter(self.path)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        if self._extension == ".parquet":
            return parquet_columns(self.path)
        first = csv_columns(self.path, delimiter=self._delimiter)
        return first if self._is_named else tuple(f"f{i}" for i in range(len(first)))

    @cached_property
    def _is_named(self) -> bool:
        if self._extension == ".parquet":
            return True
        with reading(self.path):
            return is_header(csv_columns(self.path, delimiter=self._delimiter))

    @cached_property
    def _label(self) -> str | None:
        if self.label_column is not None:
            return self.label_column
        found = [
            name for name in self._names if name.lower() in LABEL_NAMES and name not in self.drop
        ]
        if len(found) > 1:
            problem = f"Expected one column of labels in {self.path}, but got {', '.join(found)}."
            raise DataError(f"{problem} Pass `label_column` with the name of one of them.")
        return found[0] if found else None

    @property
    def _input_names(self) -> list[str]:
        """Columns of inputs, as they are in the table."""
        return [name for name in self._names if name != self._label and name not in self.drop]

    @property
    def _used_names(self) -> list[str]:
        return [name for name in self._names if name not in self.drop]

    @cached_property
    def _content(self) -> tuple[dict[str, Column], int]:
        """Look at every cell once: what the columns hold, and how many rows there are."""
        columns: dict[str, Column] = {}
        num_rows = 0
        for batch in self._batches(_LOOK_ROWS):
            for name in self._used_names:
                cells, keep_texts = batch.column(name), name == self._label
                parse = self._extension != ".parquet"
                seen = look(cells, num_rows, parse=parse, keep_texts=keep_texts)
                columns[name] = columns[name].merge(seen) if name in columns else seen
            num_rows += batch.num_rows
        if not num_rows:
            raise DataError(f"Expected at least one row in {self.path}, but got none.")
        return columns, num_rows

    @property
    @override
    def num_rows(self) -> int:
        return self._content[1]

    @property
    @override
    def class_names(self) -> tuple[str, ...] | None:
        column = None if self._label is None else self._content[0][self._label]
        return tuple(sorted(column.texts)) if column and column.dtype is None else None

    @property
    @override
    def column_names(self) -> tuple[str, ...] | None:
        return tuple(self._input_names) if self._is_named else None

    @override
    def describe(self) -> dict[str, Any]:
        return {
            "kind": "table",
            "name": self.path.name,
            "label_column": self._label,
            **({"drop": list(self.drop)} if self.drop else {}),
            "digest": digest_files([self.path], self.path.parent),
        }

    @override
    def check(self) -> None:
        columns, num_rows = self._content
        wrong: dict[str, list[str]] = defaultdict(list)
        for name in self._input_names:
            if columns[name].dtype is None:
                wrong[columns[name].kind].append(repr(name))
        if wrong:
            found = " and ".join(f"{kind} in {', '.join(names)}" for kind, names in wrong.items())
            remedy = "Encode them first, or leave them out with `drop` (--drop)"
            if self._label is None:
                remedy += ", or pass `label_column` (--label-column) if one of them has the labels"
            problem = f"Expected numbers in every column of {self.path} but that of the labels"
            raise DataError(f"{problem}, but got {found}. {remedy}.")
        if gaps := {name: column for name, column in columns.items() if column.gaps}:
            found = ", ".join(f"{column.gaps} in {name!r}" for name, column in gaps.items())
            name, first = min(gaps.items(), key=lambda gap: (gap[1].first_gap or 0, gap[0]))
            where = f"first in row {(first.first_gap or 0) + 1} of {name!r}"
            problem = f"Expected a value in every cell of {self.path}, but some are empty"
            remedy = "Fill them, or leave columns out with `drop` (--drop)"
            raise DataError(f"{problem}: {found}, of {num_rows} rows, {where}. {remedy}.")
        if self._label is not None:
            self._check_label(columns[self._label])

    def _check_label(self, column: Column) -> None:
        if column.dtype is None and column.kind != "text":
            problem = f"Expected numbers or texts in {self._label!r} of {self.path}"
            raise DataError(f"{problem}, but got {column.kind}. Encode them first.")
        if column.dtype is None and len(column.texts) > MAX_CLASSES:
            problem = f"Expected at most {MAX_CLASSES:,} classes in {self._label!r} of {self.path}"
            raise DataError(f"{problem}, but got more. Pass `label_column` if another is meant.")

    @override
    def blocks(self, start: int, size: int) -> Iterator[Block]:
        columns, _ = self._content
        common = np.dtype(np.float64)
        if self._extension == ".parquet":
            common = np.result_type(*(columns[name].dtype for name in self._input_names))
        for batch in _skip(self._batches(size), start):
            inputs = [
                self._read(name, batch).astype(common, copy=False) for name in self._input_names
            ]
            labels = None if self._label is None else self._read(self._label, batch)
            yield Block(np.stack(inputs, axis=1), labels)

    def _read(self, name: str, batch: pa.RecordBatch) -> Array:
        cells, dtype = batch.column(name), self._content[0][name].dtype
        return encode(cells, self.class_names or ()) if dtype is None else numbers(cells, dtype)

    def _batches(self, size: int) -> Iterator[pa.RecordBatch]:
        with self._reading():
            if self._extension == ".parquet":
                with pa_parquet.ParquetFile(self.path) as file:
                    yield from file.iter_batches(batch_size=size)
            else:
                num_blank = count_blank_end(self.path, len(self._names))
                yield from without_blank_end(self._open_csv(), num_blank)

    def _open_csv(self) -> pa_csv.CSVStreamingReader:
        """Read all cells as text: the type of a column is known when all of it was seen."""
        return pa_csv.open_csv(
            self.path,
            read_options=pa_csv.ReadOptions(
                column_names=list(self._names),
                skip_rows=count_heading(self.path, self._delimiter) if self._is_named else 0,
                block_size=BLOCK_BYTES,
            ),
            parse_options=parsing(self._delimiter, len(self._names)),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(self._names, pa.string()),
                null_values=list(EMPTY),
                strings_can_be_null=True,
            ),
        )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"Expected a table, but cannot read {self.path}: {error}.") from error


def _skip(batches: Iterable[pa.RecordBatch], start: int) -> Iterator[pa.RecordBatch]:
    """Leave out the first rows."""
    for batch in batches:
        if start < batch.num_rows:
            yield batch.slice(start)
        start = max(0, start - batch.num_rows)

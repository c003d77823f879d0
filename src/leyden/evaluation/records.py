"""Rows of what a model gave, written batch by batch and read by column."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from typing_extensions import override

from leyden.errors import DataError, MissingPathError, suggest
from leyden.types import Array

__all__ = ["Column", "GrowingArray", "RecordWriter", "Records"]

RECORDS = "records.parquet"
_SMALL = 64  # numbers of a row that are still a cell of the table
_ROWS_AT_ONCE = 8192  # of the table, that are in memory while it is written


@dataclass(frozen=True, slots=True)
class Column:
    """What is known of one named thing in all rows.

    Args:
        name: What it is called.
        dtype: Of its elements.
        shape: Of one row of it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()

    @classmethod
    def of(cls, name: str, array: Array) -> Self:
        """Look at some rows, ``(rows, ...)``."""
        dtype = "str" if array.dtype.kind == "U" else str(array.dtype)
        return cls(name, dtype, array.shape[1:])

    @property
    def is_small(self) -> bool:
        """Whether it is part of the table; else it has a file of its own."""
        return int(np.prod(self.shape)) <= _SMALL and not self.dtype.startswith("complex")

    @property
    def file_name(self) -> str:
        """The file that it has if it is not small."""
        return f"{self.name.replace('/', '--')}.npy"

    @property
    def arrow_type(self) -> Any:
        """How the table has it: rows of several numbers lie flat in a list."""
        element = pa.string() if self.dtype == "str" else pa.from_numpy_dtype(np.dtype(self.dtype))
        return pa.list_(element, int(np.prod(self.shape))) if self.shape else element

    def to_arrow(self, array: Array) -> Any:
        """Make cells of rows, ``(rows, ...)``."""
        flat = array.ravel()
        if self.dtype == "str":
            flat = flat.astype(object)
        cells = pa.array(flat)
        return (
            pa.FixedSizeListArray.from_arrays(cells, type=self.arrow_type) if self.shape else cells
        )

    def from_arrow(self, cells: Any) -> Array:
        """Make rows ``(rows, ...)`` of a column of the table."""
        plain = cells.combine_chunks()
        flat = plain.flatten() if self.shape else plain
        array = flat.to_numpy(zero_copy_only=False)
        array = array.astype(np.str_) if self.dtype == "str" else array
        return np.asarray(array).reshape(len(plain), *self.shape)


class GrowingArray:
    """A ``.npy`` file that rows are added to, until it is closed.

    Args:
        path: The file.
        dtype: Of its elements.
        shape: Of a row.
    """

    def __init__(self, path: Path, dtype: Any, shape: tuple[int, ...] = ()) -> None:
        self._dtype, self._shape, self._num_rows = np.dtype(dtype), shape, 0
        self._file = path.open("wb")
        self._write_header()

    def _write_header(self) -> None:
        """Say how many rows there are so far; NumPy leaves room for the number to grow."""
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._num_rows, *self._shape),
        }
        np.lib.format.write_array_header_1_0(self._file, header)

    def add(self, rows: Array) -> None:
        """Add rows, ``(rows, ...)``."""
        np.ascontiguousarray(rows, self._dtype).tofile(self._file)
        self._num_rows += len(rows)

    def close(self) -> None:
        """Have the file say how many rows it has."""
        with self._file:
            self._file.seek(0)
            self._write_header()


class RecordWriter(AbstractContextManager["RecordWriter"]):
    """Write rows as they come, into a folder: a table, and arrays beside it.

    What has few numbers in a row is a column of ``records.parquet``; what has more is a file of its
    own, ``<name>.npy``, which can be mapped into memory. However many rows there are, only some
    thousands of them, without the large arrays, are in memory.

    Args:
        folder: Where to; it has to be there.

    Raises:
        DataError: At rows that are not like those before.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.columns: tuple[Column, ...] = ()
        self.num_rows = 0
        self._table: Any = None
        self._waiting: list[Any] = []
        self._num_waiting = 0
        self._arrays: dict[str, GrowingArray] = {}

    def add(self, rows: Mapping[str, Array]) -> None:
        """Add rows.

        Args:
            rows: Each ``(rows, ...)``, by name; the same names, shapes and dtypes each time.
        """
        found = tuple(Column.of(name, array) for name, array in rows.items())
        if not self.columns:
            self._begin(found)
        elif found != self.columns:
            raise DataError(_differences(self.columns, found))
        cells = []
        for column in self.columns:
            if column.is_small:
                cells.append(column.to_arrow(rows[column.name]))
            else:
                self._arrays[column.name].add(rows[column.name])
        num_rows = len(next(iter(rows.values())))
        self._waiting.append(pa.record_batch(cells, schema=self._table.schema))
        self.num_rows, self._num_waiting = self.num_rows + num_rows, self._num_waiting + num_rows
        if self._num_waiting >= _ROWS_AT_ONCE:
            self._flush()

    def _begin(self, columns: tuple[Column, ...]) -> None:
        fields = [(column.name, column.arrow_type) for column in columns if column.is_small]
        self._table = parquet.ParquetWriter(self._folder / RECORDS, pa.schema(fields))
        for column in columns:
            if not column.is_small:
                path = self._folder / column.file_name
                self._arrays[column.name] = GrowingArray(path, column.dtype, column.shape)
        self.columns = columns

    def _flush(self) -> None:
        if self._waiting:
            self._table.write_table(pa.Table.from_batches(self._waiting))
        self._waiting, self._num_waiting = [], 0

    @override
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._table is None:
            return
        try:
            if error is None:
                self._flush()
        finally:
            self._table.close()
            for array in self._arrays.values():
                array.close()


def _differences(old: tuple[Column, ...], new: tuple[Column, ...]) -> str:
    before, now = ({column.name: column for column in columns} for columns in (old, new))
    name = next((name for name in {**before, **now} if before.get(name) != now.get(name)), "")
    texts = [_describe(columns.get(name)) for columns in (before, now)]
    problem = "Expected all batches to give the same outputs"
    return (
        f"{problem}, but `{name}` is {texts[0]} first and {texts[1]} later. Give rows of one shape."
    )


def _describe(column: Column | None) -> str:
    return "missing" if column is None else f"{column.dtype} of shape {column.shape}"


class Records(Mapping[str, Array]):
    """Stored rows: arrays ``(rows, ...)`` by name, each read when it is first asked for.

    ``set_number`` and ``row`` say which row of which set it is, and ``target`` what is true of it,
    where that is known. The others are outputs of the model; large ones are mapped, not read.

    Args:
        folder: Where they lie.
        columns: What there is.

    Raises:
        MissingPathError: When something is read that is not there any more.
        DataError: When something is read that is broken.
        KeyError: When something is asked for that was never there.
    """

    def __init__(self, folder: Path, columns: tuple[Column, ...]) -> None:
        self._folder = folder
        self._columns = {column.name: column for column in columns}
        self._known: dict[str, Array] = {}

    @override
    def __getitem__(self, name: str) -> Array:
        if name not in self._columns:
            problem = f"Expected the name of a column of the records, but got {name!r}."
            raise KeyError(f"{problem} {suggest(name, self._columns)}")
        if name not in self._known:
            self._known[name] = self._read(self._columns[name])
        return self._known[name]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    @override
    def __len__(self) -> int:
        return len(self._columns)

    @property
    def columns(self) -> tuple[Column, ...]:
        """What there is."""
        return tuple(self._columns.values())

    @cached_property
    def num_rows(self) -> int:
        """How many rows there are."""
        return len(self["row"])

    @property
    def path(self) -> Path:
        """The table of what is small, for any program that reads Parquet."""
        return self._folder / RECORDS

    def _read(self, column: Column) -> Array:
        path = self.path if column.is_small else self._folder / column.file_name
        try:
            if column.is_small:
                with parquet.ParquetFile(path) as file:
                    return column.from_arrow(file.read([column.name])[column.name])
            array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            problem = f"Expected `{column.name}` of the records in {str(path)!r}"
            raise MissingPathError(f"{problem}, which does not exist.") from None
        except (pa.ArrowException, KeyError, ValueError, OSError) as error:
            problem = f"Expected `{column.name}` of the records to be intact"
            raise DataError(f"{problem}, but {path} is damaged: {error}.") from error
        return array

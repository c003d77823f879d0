"""The first line of a table of text: what stands between its cells, and whether it has names."""

import csv
import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pyarrow.csv as pa_csv

from leyden.errors import ShardError
from leyden.shards.readers.base import reading

__all__ = ["EMPTY", "count_heading", "csv_columns", "find_delimiter", "is_header"]

_NOT_A_NUMBER = ("nan", "-nan")  # which is a value, as NumPy writes it, and no empty cell
EMPTY = tuple(
    cell for cell in pa_csv.ConvertOptions().null_values if cell.lower() not in _NOT_A_NUMBER
)
"""What a cell of a table of text has in it where there is no value: nothing, ``NA``, ``null``."""

_OPTIONS = pa_csv.ConvertOptions()
_PLAIN = {*EMPTY, *_OPTIONS.true_values, *_OPTIONS.false_values}  # cells of rows, but no numbers
_NUMBER = re.compile(
    r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|0x[0-9a-f]+|[-+]?(nan|inf|infinity)",
    re.ASCII | re.IGNORECASE,
)
_DELIMITERS = ",;\t|"  # the first of these that stands in a first line
_INDEX = ("", "index", "unnamed: 0")  # what the names of rows are called, which pandas adds
_SHOWN = 6  # cells in an error


def find_delimiter(path: Path) -> str:
    """Find out from the first line of a ``.csv`` file what stands between two cells.

    It is a comma, and where the line has none, a semicolon, a tab or a bar, as spreadsheets write
    them in countries where the comma is in numbers.

    Args:
        path: The file.

    Raises:
        ShardError: If the file is empty or is not text.
    """
    for delimiter in _DELIMITERS:
        if len(_first_cells(path, delimiter)) > 1:
            return delimiter
    return _DELIMITERS[0]


def csv_columns(path: Path, *, delimiter: str | None = None) -> tuple[str, ...]:
    """Read the first line of a table, whether it names the columns or not.

    Args:
        path: The file.
        delimiter: What stands between two cells; ``None`` for what ``find_delimiter`` finds.

    Raises:
        ShardError: If the file is empty or is not text.
    """
    return _first_cells(path, delimiter or find_delimiter(path))


def count_heading(path: Path, delimiter: str) -> int:
    """Count the lines that the names of columns take: more than one if a name has several.

    Args:
        path: The file.
        delimiter: What stands between two cells.

    Raises:
        ShardError: If the file is empty or is not text.
    """
    return _read_first(path, delimiter)[1]


def _first_cells(path: Path, delimiter: str) -> tuple[str, ...]:
    return _read_first(path, delimiter)[0]


def _read_first(path: Path, delimiter: str) -> tuple[tuple[str, ...], int]:
    """Read the cells of the first line, and count the lines that they take in the file."""
    try:
        with reading(path), path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, delimiter=delimiter)
            first = next(rows, [])
    except csv.Error as error:
        raise ShardError(f"Expected a table of text, but got: {error}.", path=path) from None
    if not first:
        raise ShardError("Expected a table, but got an empty first line.", path=path)
    return tuple(cell.strip() for cell in first), rows.line_num


def is_header(cells: Sequence[str]) -> bool:
    """Say whether a first line names columns, rather than being a row.

    Numbers, truth values and gaps are a row. Words name columns, and may do so beside whole
    numbers.

    Args:
        cells: Its cells.

    Raises:
        ShardError: If it may be either: ``0``, ``1``, ..., which columns without names are called,
            or words beside other numbers than can be names.

    Example:
        >>> is_header(["age", "1"]), is_header(["0.5", "true"])
        (True, False)
    """
    numbers = [cell for cell in cells if _NUMBER.fullmatch(cell)]
    is_row = all(cell in _PLAIN for cell in cells if not _NUMBER.fullmatch(cell))
    if _are_counted(cells):
        remedy = "Give the columns names, and write no index (to_csv(..., index=False) in pandas)"
        raise _unclear(cells, f"{remedy}; or, if it is a row, put a line of names before it.")
    if numbers and not is_row and not _are_names(numbers):
        remedy = "If it is a row, put a line of names before it; else begin each name with a letter"
        raise _unclear(cells, f"{remedy}.")
    return not is_row


def _are_counted(cells: Sequence[str]) -> bool:
    """Whether cells are what a program calls columns that nobody gave a name."""
    names = cells[1:] if cells[0].lower() in _INDEX else cells
    return len(cells) > 1 and all(cell == str(i) for cell, i in zip(names, count(), strict=False))


def _are_names(numbers: Sequence[str]) -> bool:
    """Whether numbers may be names of columns: whole ones, each of them once."""
    return all(cell.isdecimal() for cell in numbers) and len(set(numbers)) == len(numbers)


def _unclear(cells: Sequence[str], remedy: str) -> ShardError:
    more = ", ..." if len(cells) > _SHOWN else ""
    found = ", ".join(map(repr, cells[:_SHOWN])) + more
    problem = "Expected a first line that is plainly names of columns or plainly a row"
    return ShardError(f"{problem}, but got {found}. {remedy}")

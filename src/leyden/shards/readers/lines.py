"""Lines of tables of text: how cells are told apart, and what blank lines mean."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

__all__ = ["BLOCK_BYTES", "count_blank_end", "parsing", "without_blank_end"]

BLOCK_BYTES = 16 << 20
"""What is parsed at a time; no row of text may be longer."""

_CHUNK = 1 << 16


def parsing(delimiter: str, num_columns: int) -> pa_csv.ParseOptions:
    """Say how lines become cells: a text in quotes may go on in the next line.

    An empty line in a table of one column is a cell without a value; in others it is nothing.

    Args:
        delimiter: What stands between two cells.
        num_columns: How many columns there are.
    """
    return pa_csv.ParseOptions(
        delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=num_columns > 1
    )


def count_blank_end(path: Path, num_columns: int) -> int:
    """Count the empty lines at the end of a table, which are no rows, where ``parsing`` has them.

    Args:
        path: The file.
        num_columns: How many columns there are.
    """
    end = _read_end(path) if num_columns == 1 else b""
    return max(0, len(end.splitlines()) - 1)


def _read_end(path: Path) -> bytes:
    """Read the ends of lines at the end of a file, and what is before the first of them."""
    end = b""
    with path.open("rb") as file:
        begin = file.seek(0, os.SEEK_END)
        while begin and not end.strip(b"\r\n"):
            size = min(begin, _CHUNK)
            begin = file.seek(begin - size)
            end = file.read(size) + end
    return end[len(end.rstrip(b"\r\n")) - 1 :]


def without_blank_end(
    batches: Iterable[pa.RecordBatch], num_blank: int
) -> Iterator[pa.RecordBatch]:
    """Leave out the last rows of a table that is read in pieces.

    Args:
        batches: The pieces.
        num_blank: How many rows to leave out.
    """
    held: deque[pa.RecordBatch] = deque()
    num_held = 0
    for batch in batches:
        held.append(batch)
        num_held += batch.num_rows
        while held and num_held - held[0].num_rows >= num_blank:
            num_held -= held[0].num_rows
            yield held.popleft()
    for batch in held:
        yield batch.slice(0, max(0, num_held - num_blank))
        num_held -= batch.num_rows

"""What a ``FileLogger`` has written, read back."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from leyden.errors import DataError, MissingPathError

__all__ = [
    "KEYS",
    "History",
    "epoch_ends",
    "read_header",
    "read_metrics",
    "read_rows",
    "whole_lines",
]

# While it reads, Arrow would take Ctrl-C and SIGTERM away from whoever trains.
pa.enable_signal_handlers(False)

History: TypeAlias = dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]
"""Steps and values, ``(rows,)`` each, by metric."""

KEYS = ("epoch", "step")
"""The first columns of a file of metrics."""


def read_metrics(path: Path) -> History:
    """Read what a ``FileLogger`` wrote, of a run that has ended or still runs.

    Args:
        path: A ``metrics.csv``; a last line that is not whole is left out.

    Returns:
        For each metric, ``epoch`` included, the steps and the values of the rows that have it.

    Raises:
        MissingPathError: If there is no such file.
        DataError: If it does not hold metrics.
    """
    table = _read_table(path)
    steps, history = table["step"].to_numpy(), {}
    for name in (name for name in table.column_names if name != "step"):
        present = table[name].is_valid().to_numpy()
        history[name] = (steps[present], table[name].to_numpy()[present])
    return history


def epoch_ends(history: History) -> list[int]:
    """Find where epochs end.

    Args:
        history: Metrics with ``epoch`` among them.

    Returns:
        The last logged step of every epoch that another one follows.

    Example:
        >>> epoch_ends({"epoch": (np.array([1, 2, 3, 4]), np.array([0.0, 0.0, 1.0, 2.0]))})
        [2, 3]
    """
    if "epoch" not in history:
        return []
    steps, epochs = history["epoch"]
    return [int(steps[epochs == epoch].max()) for epoch in np.unique(epochs)[:-1]]


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Read what a ``FileLogger`` wrote, as it was told.

    Args:
        path: As for ``read_metrics``, which says what is raised, too.

    Yields:
        The step and the metrics of every row, ``epoch`` included, in the order of the file.
    """
    for row in _read_table(path).to_pylist():
        step = row.pop("step")
        yield step, {name: value for name, value in row.items() if value is not None}


def whole_lines(content: bytes) -> bytes:
    """Leave out a last line that its writer had no time to end."""
    return content[: content.rfind(b"\n") + 1]


def read_header(path: Path, content: bytes) -> list[str]:
    """Name the columns of a file of metrics.

    Raises:
        DataError: If it is something else.
    """
    line = content[: content.find(b"\n") + 1].decode("utf-8", errors="replace")
    columns = next(csv.reader([line]), [])
    if tuple(columns[: len(KEYS)]) != KEYS or len(set(columns)) < len(columns):
        raise DataError(
            f"Expected `header` to begin with epoch,step and name every metric once, "
            f"but got {line.strip()!r} in {path}."
        )
    return columns


def _read_table(path: Path) -> Any:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise MissingPathError(
            f"Expected `path` to be a file of metrics, but got {str(path)!r}, which does not exist."
        ) from None
    names = [name for name in read_header(path, content) if name != "step"]
    return _parse(path, whole_lines(content), names)


def _parse(path: Path, content: bytes, names: Iterable[str]) -> Any:
    types = {"step": pa.int64()} | dict.fromkeys(names, pa.float64())
    convert = arrow_csv.ConvertOptions(column_types=types, null_values=[""])
    read = arrow_csv.ReadOptions(use_threads=False)  # errors then name the row
    try:
        return arrow_csv.read_csv(pa.BufferReader(content), read, convert_options=convert)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"Expected `metrics` to be rows of numbers, but got '{error}' in {path}."
        ) from error

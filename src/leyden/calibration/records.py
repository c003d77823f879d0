"""Thresholds and subsets from predictions that were written to a file."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from leyden.calibration.goals import MetricLike
from leyden.calibration.subsets import Subset, best_subset
from leyden.calibration.thresholds import Threshold, find_threshold
from leyden.errors import ConfigError, DataError, MissingPathError, suggest
from leyden.types import Array

__all__ = ["Calibration", "calibrate"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was found from records.

    Args:
        threshold: The best threshold over all records.
        subset: The sets that the metric is best on; ``None`` if none were asked for.
    """

    threshold: Threshold
    subset: Subset | None = None


def calibrate(  # noqa: PLR0913 - columns and settings, each with a default
    records: str | os.PathLike[str] | Any,
    metric: MetricLike,
    *,
    score: str = "score",
    target: str = "target",
    set_number: str = "set_number",
    subset_size: int | None = None,
    steps: int = 100,
    bounds: tuple[float, float] = (0.0, 1.0),
    higher_is_better: bool | None = None,
) -> Calibration:
    """Find the best threshold, and the sets that a model is best on, from stored predictions.

    Args:
        records: A Parquet file, or a ``pyarrow.Table``, with a row for each sample.
        metric: See ``find_threshold``.
        score: The column of scores: numbers, or lists of them. Of lists of two, beside targets that
            are single, the second number is that of the positive class.
        target: The column of targets, 0 or 1: numbers, or lists for several labels.
        set_number: The column of set numbers; read only if ``subset_size`` is given.
        subset_size: How many sets are chosen; ``None`` for none.
        steps: See ``find_threshold``.
        bounds: Likewise.
        higher_is_better: Likewise.

    Returns:
        The threshold, and the sets if they are asked for.

    Raises:
        MissingPathError: If there is no such file.
        ConfigError: If a column is missing; and see ``find_threshold`` and ``best_subset``.
        DataError: If the file is not Parquet, or there is a row without a number, or lists of
            different lengths; and see ``find_threshold``.

    Example:
        >>> rows = {"score": [0.1, 0.4, 0.35, 0.8], "target": [0, 0, 1, 1]}
        >>> calibrate(pa.table(rows), "f1").threshold.value
        0.34
    """
    names = [score, target] if subset_size is None else [score, target, set_number]
    table = records if isinstance(records, pa.Table) else _read(Path(records))
    for name in names:
        if name not in table.column_names:
            problem = f"Expected the records to have a column {name!r}."
            raise ConfigError(f"{problem} {suggest(name, table.column_names)}")
    scores, targets = _samples(table, score, target)
    search: Any = {"steps": steps, "bounds": bounds, "higher_is_better": higher_is_better}
    threshold = find_threshold(scores, targets, metric, **search)
    if subset_size is None:
        return Calibration(threshold)
    sets = _numbers(table[set_number], set_number)
    numbers = np.unique(sets)
    rows = [sets == number for number in numbers]
    subset = best_subset(
        [scores[chosen] for chosen in rows],
        [targets[chosen] for chosen in rows],
        metric,
        subset_size,
        set_numbers=numbers.tolist(),
        **search,
    )
    return Calibration(threshold, subset)


def _samples(table: Any, score: str, target: str) -> tuple[Array, Array]:
    scores, targets = _numbers(table[score], score), _numbers(table[target], target)
    if scores.ndim == 2 and targets.ndim == 1 and scores.shape[1] == 2:
        scores = scores[:, 1]
    if scores.shape != targets.shape:
        problem = f"Expected a number in {score!r} for each in {target!r}"
        raise DataError(f"{problem}, but got the shapes {scores.shape} and {targets.shape}.")
    return scores, targets


def _read(path: Path) -> Any:
    try:
        with parquet.ParquetFile(path) as file:  # read_table takes folders named a=1 for a column
            return file.read()
    except FileNotFoundError:
        problem = f"Expected `records` to be a Parquet file, but got {str(path)!r}"
        raise MissingPathError(f"{problem}, which does not exist.") from None
    except pa.ArrowInvalid as error:
        problem = f"Expected `records` to be Parquet, but got '{error}'"
        raise DataError(f"{problem} in {path}.") from error


def _numbers(column: Any, name: str) -> Array:
    """Make an array of a column, ``(rows,)`` or ``(rows, numbers)``."""
    plain = column.combine_chunks()
    if plain.null_count:
        raise DataError(f"Expected a value in every row of {name!r}, but {plain.null_count} lack.")
    kind = plain.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        widths = set(plain.value_lengths().to_pylist())
        if len(widths) > 1:
            problem = f"Expected lists of one length in {name!r}"
            raise DataError(f"{problem}, but got lengths from {min(widths)} to {max(widths)}.")
        flat = _numbers(pa.chunked_array([plain.flatten()]), name)
        return flat.reshape(len(plain), -1) if len(plain) else flat
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise DataError(f"Expected numbers in {name!r}, but got {kind}.")
    return np.asarray(plain.to_numpy(zero_copy_only=False))

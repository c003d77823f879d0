"""Thresholds and subsets from predictions that were written to a file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from leyden.calibration.goals import MetricLike, choose_goal
from leyden.calibration.subsets import Subset, best_subset
from leyden.calibration.thresholds import Threshold, find_threshold
from leyden.errors import ConfigError, DataError, MissingPathError, suggest
from leyden.types import Array

__all__ = ["Calibration", "Samples", "calibrate", "read_samples"]

_SCORES = ("score", "scores", "probabilities", "probability", "predictions")
_TARGETS = ("target", "targets", "label", "labels", "y")


@dataclass(frozen=True, slots=True)
class Samples:
    """Stored predictions, and what is true.

    Args:
        scores: Of the samples, ``(samples,)`` or ``(samples, scores)``.
        targets: Likewise, ``(samples,)`` or ``(samples, labels)``.
        set_numbers: Of which set each is, ``(samples,)``; ``None`` if they were not asked for.
    """

    scores: Array
    targets: Array
    set_numbers: Array | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was found from records.

    Args:
        threshold: The best threshold over all records; ``None`` with a metric that takes scores.
        subset: The sets that the metric is best on; ``None`` if none were asked for.
    """

    threshold: Threshold | None
    subset: Subset | None = None


def read_samples(
    records: str | os.PathLike[str] | Any,
    *,
    score: str | None = None,
    target: str | None = None,
    set_number: str | None = None,
    with_sets: bool = False,
) -> Samples:
    """Read stored predictions.

    Args:
        records: A Parquet file, or a ``pyarrow.Table``, with a row for each sample.
        score: The column of scores: numbers, or lists of them. Of lists of two, beside targets that
            are single, the second number is that of the positive class. ``None`` for ``score``,
            ``scores``, ``probabilities``, ``probability`` or ``predictions``, the first there is.
        target: The column of targets: numbers, or lists; ``None`` for ``target``, ``targets``,
            ``label``, ``labels`` or ``y``.
        set_number: The column of set numbers; ``None`` for ``set_number``.
        with_sets: Whether set numbers are read.

    Raises:
        MissingPathError: If there is no such file.
        ConfigError: If a column is missing.
        DataError: If the file is not Parquet, or there is a row without a number, or lists of
            different lengths.

    Example:
        >>> read_samples(pa.table({"score": [[0.9, 0.1], [0.6, 0.4]], "label": [0, 1]})).scores
        array([0.1, 0.4])
    """
    table = records if isinstance(records, pa.Table) else _read(Path(records))
    scores = _numbers(table, _choose(table, score, _SCORES))
    targets = _numbers(table, _choose(table, target, _TARGETS))
    if scores.ndim == 2 and targets.ndim == 1 and scores.shape[1] == 2:
        scores = scores[:, 1]
    sets = _numbers(table, _choose(table, set_number, ("set_number",))) if with_sets else None
    return Samples(scores, targets, sets)


def calibrate(  # noqa: PLR0913 - columns and settings, each with a default
    records: str | os.PathLike[str] | Any,
    metric: MetricLike,
    *,
    score: str | None = None,
    target: str | None = None,
    set_number: str | None = None,
    subset_size: int | None = None,
    steps: int = 100,
    bounds: tuple[float, float] = (0.0, 1.0),
    prefer: float = 0.5,
    higher_is_better: bool | None = None,
) -> Calibration:
    """Find the best threshold, and the sets that a model is best on, from stored predictions.

    Args:
        records: See ``read_samples``; or what it returned.
        metric: See ``find_threshold``; with ``subset_size``, also one that takes scores as they
            are, such as ``"mae"``, for which no threshold is looked for.
        score: See ``read_samples``.
        target: Likewise.
        set_number: Likewise; read only if ``subset_size`` is given.
        subset_size: How many sets are chosen; ``None`` for none.
        steps: See ``find_threshold``.
        bounds: Likewise.
        prefer: Likewise; for the threshold over all records.
        higher_is_better: Likewise.

    Returns:
        The threshold, and the sets if they are asked for.

    Raises:
        MissingPathError: See ``read_samples``.
        ConfigError: Likewise; and see ``find_threshold`` and ``best_subset``.
        DataError: See ``read_samples``, ``find_threshold`` and ``best_subset``; and if there are
            not as many scores as targets.

    Example:
        >>> rows = {"score": [0.1, 0.4, 0.35, 0.8], "target": [0, 0, 1, 1]}
        >>> calibrate(pa.table(rows), "f1").threshold.value
        0.34
    """
    samples = (
        records
        if isinstance(records, Samples)
        else read_samples(
            records,
            score=score,
            target=target,
            set_number=set_number,
            with_sets=subset_size is not None,
        )
    )
    search: Any = {"steps": steps, "bounds": bounds, "higher_is_better": higher_is_better}
    threshold = None
    decides = choose_goal(metric, higher_is_better).decides
    if decides or subset_size is None:  # of which the second is answered there
        if decides:
            _check_pairs(samples)
        threshold = find_threshold(samples.scores, samples.targets, metric, prefer=prefer, **search)
    if subset_size is None:
        return Calibration(threshold)
    return Calibration(threshold, _find_subset(samples, metric, subset_size, search))


def _find_subset(
    samples: Samples, metric: MetricLike, size: int, search: Mapping[str, Any]
) -> Subset:
    assert samples.set_numbers is not None  # noqa: S101 - read with the others
    numbers = np.unique(samples.set_numbers)
    rows = [samples.set_numbers == number for number in numbers]
    scores, targets = samples.scores, samples.targets
    return best_subset(
        [scores[chosen] for chosen in rows],
        [targets[chosen] for chosen in rows],
        metric,
        size,
        set_numbers=numbers.tolist(),
        **search,
    )


def _check_pairs(samples: Samples) -> None:
    shapes = samples.scores.shape, samples.targets.shape
    if shapes[0] == shapes[1]:
        return
    remedy = ""
    if len(shapes[0]) == 2 and len(shapes[1]) == 1:
        remedy = (
            f" There is no threshold between {shapes[0][1]} classes; to choose sets, pass"
            " `subset_size` and a metric such as 'sparse_categorical_accuracy'."
        )
    raise DataError(
        f"Expected a score for each target, but got the shapes {shapes[0]} and {shapes[1]}.{remedy}"
    )


def _choose(table: Any, given: str | None, known: Sequence[str]) -> str:
    """Choose a column: the one that is told, or the first that is known."""
    for name in known if given is None else (given,):
        if name in table.column_names:
            return name
    name = known[0] if given is None else given
    problem = f"Expected the records to have a column {name!r}."
    raise ConfigError(f"{problem} {suggest(name, table.column_names)}")


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


def _numbers(table: Any, name: str) -> Array:
    """Make an array of a column, ``(rows,)`` or ``(rows, numbers)``."""
    return _as_array(table[name].combine_chunks(), name)


def _as_array(plain: Any, name: str) -> Array:
    if plain.null_count:
        raise DataError(f"Expected a value in every row of {name!r}, but {plain.null_count} lack.")
    kind = plain.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        widths = set(plain.value_lengths().to_pylist())
        if len(widths) > 1:
            problem = f"Expected lists of one length in {name!r}"
            raise DataError(f"{problem}, but got lengths from {min(widths)} to {max(widths)}.")
        flat = _as_array(plain.flatten(), name)
        return flat.reshape(len(plain), -1) if len(plain) else flat
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise DataError(f"Expected numbers in {name!r}, but got {kind}.")
    return np.asarray(plain.to_numpy(zero_copy_only=False))

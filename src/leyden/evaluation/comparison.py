"""Two evaluations row by row: which rows got better, which worse, and by how much."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from leyden.calibration.names import is_error
from leyden.errors import ConfigError, DataError, suggest
from leyden.evaluation.metrics import classes_in, has_predictions, probabilities_in, targets_in
from leyden.evaluation.records import Records
from leyden.evaluation.stored import Evaluation
from leyden.types import Array

__all__ = ["Comparison", "compare"]

_KEYS = ("set_number", "row")


@dataclass(frozen=True)
class Comparison:
    """What became of each row from one evaluation to another.

    Args:
        by: What rows were compared by.
        higher_is_better: Which way of it is better.
        rows: A table with ``set_number`` and ``row``; with ``target``, ``before_prediction`` and
            ``after_prediction`` where they are single values; and with ``before``, ``after`` and
            ``change``, which is above zero for what got better.
        num_only_before: Rows that the other evaluation does not have.
        num_only_after: Rows that only the other one has.
    """

    by: str
    higher_is_better: bool
    rows: pa.Table
    num_only_before: int = 0
    num_only_after: int = 0

    @cached_property
    def _changes(self) -> Array:
        return np.asarray(self.rows["change"].to_numpy())

    @property
    def num_better(self) -> int:
        """How many rows got better."""
        return int((self._changes > 0).sum())

    @property
    def num_worse(self) -> int:
        """How many rows got worse."""
        return int((self._changes < 0).sum())

    @property
    def mean_change(self) -> float:
        """By how much rows got better, on average; below zero if they got worse."""
        return float(self._changes.mean())

    @cached_property
    def better(self) -> pa.Table:
        """The rows that got better, the most first."""
        order = np.argsort(-self._changes, kind="stable")
        return self.rows.take(order[: self.num_better])

    @cached_property
    def worse(self) -> pa.Table:
        """The rows that got worse, the most first."""
        order = np.argsort(self._changes, kind="stable")
        return self.rows.take(order[: self.num_worse])

    @cached_property
    def sets(self) -> pa.Table:
        """A row for each set, those that got worst first.

        Columns are ``set_number``, ``num_rows``, ``num_better``, ``num_worse``, and the means of
        ``before``, ``after`` and ``change``.
        """
        numbers, places = np.unique(self.rows["set_number"].to_numpy(), return_inverse=True)
        counts = np.bincount(places)
        summed = {
            name: np.bincount(places, self.rows[name].to_numpy()) / counts
            for name in ("before", "after", "change")
        }
        table = {
            "set_number": numbers,
            "num_rows": counts,
            "num_better": np.bincount(places, self._changes > 0).astype(np.int64),
            "num_worse": np.bincount(places, self._changes < 0).astype(np.int64),
            **summed,
        }
        return pa.table(table).take(np.argsort(summed["change"], kind="stable"))


def _confidence(records: Records) -> Array:
    """Give the probability of the true class of each row."""
    targets, scores = targets_in(records), probabilities_in(records)
    if scores.ndim == 1:
        return np.where(targets == 1, scores, 1 - scores)
    if scores.ndim != 2 or targets.ndim != 1:
        problem = "Expected one class for each row, and a probability for each class"
        raise ConfigError(f"{problem}, but got {targets.shape} and {scores.shape}. Pass `by`.")
    return np.asarray(scores[np.arange(len(targets)), targets.astype(np.int64)])


def _correct(records: Records) -> Array:
    return _mean((_aligned(records)[0] == _aligned(records)[1]).astype(np.float64))


def _absolute_error(records: Records) -> Array:
    targets, values = _aligned(records)
    return _mean(np.abs(values.astype(np.float64) - targets))


def _squared_error(records: Records) -> Array:
    targets, values = _aligned(records)
    return _mean((values.astype(np.float64) - targets) ** 2)


def _log_loss(records: Records) -> Array:
    return np.asarray(-np.log(np.clip(_confidence(records).astype(np.float64), 1e-15, None)))


def _aligned(records: Records) -> tuple[Array, Array]:
    targets, values = targets_in(records), classes_in(records)
    if targets.shape != values.shape:
        problem = "Expected predictions of the shape of the targets"
        raise ConfigError(f"{problem}, but got {values.shape} and {targets.shape}. Pass `by`.")
    return targets, values


def _mean(values: Array) -> Array:
    """Average over all but the rows."""
    return np.asarray(values.reshape(len(values), -1).mean(1))


_MEASURES: Mapping[str, tuple[Callable[[Records], Array], bool]] = MappingProxyType(
    {
        "absolute_error": (_absolute_error, False),
        "confidence": (_confidence, True),
        "correct": (_correct, True),
        "log_loss": (_log_loss, False),
        "squared_error": (_squared_error, False),
    }
)


def compare(
    before: Evaluation,
    after: Evaluation,
    *,
    by: str | Callable[[Records], Array] = "auto",
    higher_is_better: bool | None = None,
) -> Comparison:
    """Compare what two models, or one model at two times, gave for the same rows.

    Rows are the same if their set numbers and their places in the set are.

    Args:
        before: One evaluation.
        after: The other.
        by: What makes a row good: ``"confidence"`` (the probability of the true class),
            ``"log_loss"``, ``"correct"`` (1 or 0), ``"absolute_error"``, ``"squared_error"``; a
            column with a number in each row, such as ``"loss"``; or a function of ``Records`` that
            returns ``(rows,)``. ``"auto"`` takes the first of confidence, correct and absolute
            error that both have what is needed for.
        higher_is_better: Which way is better; ``None`` to know by the name, where one of an
            error, such as ``loss``, ``mae`` or ``cross_entropy``, means that lower is.

    Returns:
        The rows of both, and what became of them.

    Raises:
        ConfigError: If nothing is called ``by``, or a row has not one number of it.
        DataError: If they have no rows in common, the same row twice, or disagree in what is true.
    """
    sides = before.records, after.records
    name = _choose(sides) if by == "auto" else by if isinstance(by, str) else _name(by)
    values = [_measure(records, name if isinstance(by, str) else by) for records in sides]
    if higher_is_better is None:
        known = _MEASURES.get(name)
        higher_is_better = known[1] if known else not is_error(name)
    places = _match(*sides)
    table: dict[str, Array] = {key: sides[0][key][places[0]] for key in _KEYS}
    table |= _facts(sides, places)
    old, new = (
        side[chosen].astype(np.float64) for side, chosen in zip(values, places, strict=True)
    )
    table |= {"before": old, "after": new, "change": new - old if higher_is_better else old - new}
    return Comparison(
        name,
        higher_is_better,
        pa.table(table),
        sides[0].num_rows - len(old),
        sides[1].num_rows - len(old),
    )


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _choose(sides: tuple[Records, Records]) -> str:
    for name, column in {"confidence": "probabilities", "correct": "classes"}.items():
        if all({column, "target"} <= records.keys() for records in sides) and (
            name != "confidence" or all(targets_in(records).ndim == 1 for records in sides)
        ):
            return name
    if all("target" in records for records in sides):
        is_whole = all(classes_in(records).dtype.kind in "biu" for records in sides)
        return "correct" if is_whole else "absolute_error"
    known = [column.name for column in sides[0].columns if not column.shape]
    problem = "Expected records with a column `target` to compare by, but one has none"
    raise ConfigError(f"{problem}. Pass `by` with one of {', '.join(known)}.")


def _measure(records: Records, by: str | Callable[[Records], Array]) -> Array:
    if not isinstance(by, str):
        found = np.asarray(by(records))
    elif by in _MEASURES:
        found = _MEASURES[by][0](records)
    elif by in records:
        found = records[by]
    else:
        problem = f"Expected `by` to be the name of a column or a measure, but got {by!r}."
        raise ConfigError(f"{problem} {suggest(by, (*_MEASURES, *records))}")
    if found.shape != (records.num_rows,) or found.dtype.kind not in "biuf":
        problem = "Expected `by` to be one number for each row"
        raise ConfigError(f"{problem}, but got {found.dtype} of shape {found.shape}.")
    return found


def _match(one: Records, other: Records) -> tuple[Array, Array]:
    """Find the rows that both have, in the order of the first; their places in each."""
    keys = [np.stack([records[key] for key in _KEYS], axis=1) for records in (one, other)]
    found: list[dict[tuple[int, int], int]] = []
    for rows in keys:
        found.append({(number, row): place for place, (number, row) in enumerate(rows.tolist())})
        if len(found[-1]) < len(rows):
            problem = "Expected each row once to compare, but there are rows twice"
            raise DataError(f"{problem}. Evaluate a split that has each row once.")
    common = [key for key in found[0] if key in found[1]]
    if not common:
        problem = "Expected two evaluations of the same rows, but they have none in common"
        raise DataError(f"{problem}. Evaluate the same split of the same data.")
    places = [np.array([side[key] for key in common]) for side in found]
    return places[0], places[1]


def _facts(sides: tuple[Records, Records], places: tuple[Array, Array]) -> dict[str, Array]:
    """Give what is true of the rows, and what was predicted, where these are single values."""
    facts: dict[str, Array] = {}
    if not all("target" in records for records in sides):
        return facts
    targets = [targets_in(records)[chosen] for records, chosen in zip(sides, places, strict=True)]
    if not np.array_equal(targets[0], targets[1]):
        problem = "Expected two evaluations of the same rows, but their targets differ"
        raise DataError(f"{problem}. Evaluate the same split of the same data.")
    if targets[0].ndim == 1:
        facts["target"] = targets[0]
        names = ("before_prediction", "after_prediction")
        for name, records, chosen in zip(names, sides, places, strict=True):
            predicted = classes_in(records) if has_predictions(records) else None
            if predicted is not None and predicted.ndim == 1:
                facts[name] = predicted[chosen]
    return facts

"""Thresholds and subsets from a file of predictions."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from leyden.calibration import Calibration, Subset, Threshold, calibrate, read_samples
from leyden.errors import ConfigError, DataError, MissingPathError

ROWS: dict[str, Any] = {
    "set_number": [7, 7, 2, 2],
    "score": [0.1, 0.4, 0.35, 0.8],
    "target": [0, 0, 1, 1],
}


def test_a_file_gives_the_threshold(tmp_path: Path) -> None:
    parquet.write_table(pa.table(ROWS), tmp_path / "a=1.parquet")
    expected = Calibration(Threshold(0.34, 0.8))
    assert calibrate(str(tmp_path / "a=1.parquet"), "f1") == expected
    assert calibrate(pa.table(ROWS), "f1", bounds=(0.0, 0.3)).threshold == Threshold(0.3, 0.8)


def test_rows_of_a_set_may_lie_apart() -> None:
    table = pa.table({name: [values[i] for i in (2, 0, 3, 1)] for name, values in ROWS.items()})
    found = calibrate(table, "accuracy", subset_size=1)
    # At 0.1, the lowest of the best thresholds, set 2 is all right and set 7 half.
    assert found.subset == Subset((2,), 1.0, 0.34)
    assert found.threshold == Threshold(0.5, 0.75)


def test_columns_may_have_other_names_and_hold_lists() -> None:
    table = pa.table(
        {
            "p": pa.array([[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8]]),
            "fixed": pa.array([[0.1], [0.4], [0.35], [0.8]], pa.list_(pa.float32(), 1)),
            "y": [False, False, True, True],
            "labels": [[0], [0], [1], [1]],
        }
    )
    golden = Threshold(0.34, 0.8)
    assert calibrate(table, "f1", score="p", target="y").threshold == golden
    assert calibrate(table.slice(0), "f1", score="fixed", target="labels").threshold == golden
    sliced = calibrate(table.slice(1, 3), "f1", score="fixed", target="labels").threshold
    assert sliced == Threshold(0.34, 0.8)


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"target": None}, {}, "Expected the records to have a column 'target'. "),
        ({"set_number": None}, {"subset_size": 1}, "to have a column 'set_number'."),
        ({}, {"score": "scores"}, "a column 'scores'. Did you mean 'score'?"),
    ],
)
def test_missing_columns_are_named(columns: Any, options: Any, message: str) -> None:
    left = {name: values for name, values in (ROWS | columns).items() if values is not None}
    with pytest.raises(ConfigError, match=re.escape(message)):
        calibrate(pa.table(left), "f1", **options)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"score": [0.1, None, 0.2, 0.3]}, "a value in every row of 'score', but 1 lack."),
        ({"score": list("abcd")}, "Expected numbers in 'score', but got string."),
        ({"score": [[0.1], [0.1, 0.2], [0.3], [0.4]]}, "but got lengths from 1 to 2."),
        ({"score": [[0.1, 0.2, 0.7]] * 4}, "but got the shapes (4, 3) and (4,)."),
        ({"score": [[0.1, None]] * 4}, "a value in every row of 'score', but 4 lack."),
    ],
)
def test_rows_without_numbers_are_refused(columns: Any, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        calibrate(pa.table(ROWS | columns), "f1")


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match=r"to be a Parquet file, but got '.*gone\.parquet'"):
        calibrate(tmp_path / "gone.parquet", "f1")
    (tmp_path / "text").write_text("1,2\n" * 9)
    with pytest.raises(DataError, match=r"Expected `records` to be Parquet, but got '.*text"):
        calibrate(tmp_path / "text", "f1")


def test_an_empty_table_is_refused() -> None:
    empty = pa.table(ROWS).slice(0, 0)
    with pytest.raises(DataError, match="and one at least, but got 0 and 0"):
        calibrate(empty, "f1")


def test_ties_go_to_the_preferred_threshold() -> None:
    table = pa.table({"score": [0.1, 0.9], "target": [0, 1]})
    found = [calibrate(table, "accuracy", prefer=prefer).threshold for prefer in (0.5, 0.3, 1.0)]
    assert found == [Threshold(0.5, 1.0), Threshold(0.3, 1.0), Threshold(0.89, 1.0)]


def test_columns_of_other_usual_names_are_found() -> None:
    scores = [[1 - score, score] for score in ROWS["score"]]
    table = pa.table({"probabilities": scores, "label": ROWS["target"]})
    assert calibrate(table, "f1").threshold == Threshold(0.34, 0.8)
    assert read_samples(table).scores.tolist() == ROWS["score"]


def test_a_metric_of_scores_chooses_sets_and_no_threshold() -> None:
    found = calibrate(pa.table(ROWS), "mae", subset_size=1)
    assert found == Calibration(None, Subset((7,), 0.25))
    with pytest.raises(ConfigError, match="Expected `metric` to compare decisions, but 'mean_"):
        calibrate(pa.table(ROWS), "mae")


def test_more_than_two_classes_have_sets_and_no_threshold() -> None:
    rows = {"score": [[0.1, 0.2, 0.7]] * 4, "target": [2, 1, 2, 2], "set_number": [5, 5, 6, 6]}
    found = calibrate(pa.table(rows), "sparse_categorical_accuracy", subset_size=1)
    assert found == Calibration(None, Subset((6,), 1.0))
    with pytest.raises(DataError, match="There is no threshold between 3 classes; to choose sets"):
        calibrate(pa.table(rows), "f1")

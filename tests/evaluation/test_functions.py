"""Functions over rows: how they are found, called and read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import hamming_loss

from leyden.errors import ConfigError, DataError, MissingPathError
from leyden.evaluation import Evaluation, find_metric
from leyden.evaluation.functions import call_metric

Store = Callable[..., Evaluation]
COLUMNS = {"target": [0, 1, 1, 0], "classes": [0, 1, 0, 0], "loss": [0.1, 0.2, 0.3, 0.4]}


def figure_of(records: Any) -> dict[str, Any]:
    figure = Figure()
    figure.subplots().plot(records["loss"])
    return {"curve": figure, "most": records["loss"].max(), "each": np.array([1, 2])}


def test_arguments_are_columns_by_name(store: Store) -> None:
    records = store(COLUMNS).records
    assert call_metric("m", lambda loss: loss.sum(), records).numbers == {"m": 1.0}
    assert call_metric("m", lambda loss, target: loss @ target, records).numbers == {"m": 0.5}
    assert call_metric("m", lambda r: len(r["row"]), records).numbers == {"m": 4.0}
    assert call_metric("m", lambda records, scale=2: scale, records).numbers == {"m": 2.0}
    with pytest.raises(ConfigError, match=r"but got 'losses'. Did you mean 'loss'"):
        call_metric("m", lambda losses, target: 1, records)


def test_results_may_be_numbers_arrays_figures_and_dictionaries_of_them(store: Store) -> None:
    found = call_metric("m", figure_of, store(COLUMNS).records)
    assert found.numbers == {"m/most": 0.4, "m/each/0": 1.0, "m/each/1": 2.0}
    assert list(found.figures) == ["m/curve"]


@pytest.mark.parametrize("result", [None, "good", [[1], [1, 2]], np.zeros(2000), object()])
def test_other_results_are_refused(store: Store, result: Any) -> None:
    with pytest.raises(ConfigError, match="metric `m` to return a number, a figure, or a dictio"):
        call_metric("m", lambda r: result, store(COLUMNS).records)


@pytest.mark.parametrize(
    "source", ["hamming_loss", "sklearn.metrics:hamming_loss", "sklearn.metrics.hamming_loss"]
)
def test_functions_of_scikit_learn_get_the_truth_first(store: Store, source: str) -> None:
    found = call_metric("m", find_metric(source), store(COLUMNS).records)
    assert found.numbers == {"m": hamming_loss(COLUMNS["target"], COLUMNS["classes"])}


@pytest.mark.parametrize(
    "source", ["torchmetrics.functional.recall", "torchmetrics.classification.BinaryRecall"]
)
def test_metrics_of_torchmetrics_are_told_the_task(store: Store, source: str) -> None:
    assert call_metric("m", find_metric(source), store(COLUMNS).records).numbers == {"m": 0.5}


def test_metrics_of_several_classes_are_told_how_many(store: Store) -> None:
    scores = np.eye(3)[[0, 1, 2, 2]].astype(np.float32)
    records = store({"target": [0, 1, 2, 1], "probabilities": scores}).records
    found = call_metric("m", find_metric("torchmetrics.functional.accuracy"), records)
    assert found.numbers == {"m": 0.75}


def test_functions_are_found_in_files(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def gap(loss):\n    return loss.max() - loss.min()\n\nvalue = 3\n")
    found = call_metric("gap", find_metric(f"{path}:gap"), store(COLUMNS).records)
    assert found.numbers["gap"] == pytest.approx(0.3)
    with pytest.raises(ConfigError, match=r"a function 'gop' in .*Did you mean 'gap'"):
        find_metric(f"{path}:gop")
    with pytest.raises(ConfigError, match="to be a function, but it is int"):
        find_metric(f"{path}:value")
    with pytest.raises(MissingPathError, match="there is none at"):
        find_metric(f"{tmp_path}/other.py:gap")
    path.write_text("def gap(:\n")
    with pytest.raises(ConfigError, match="cannot be imported: invalid syntax"):
        find_metric(f"{path}:gap")


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"got 'acuracy'. Did you mean 'accuracy'"):
        find_metric("acuracy")
    with pytest.raises(ConfigError, match="It cannot be imported: No module named 'nowhere'"):
        find_metric("nowhere.metric")


def test_what_does_not_suit_the_rows_is_one_line_for_ours_and_an_error_for_yours(
    store: Store,
) -> None:
    records = store({"target": [0, 1], "probabilities": [[0.9, 0.1], [0.8, 0.2]]}).records
    with pytest.raises(DataError, match="Expected rows that suit the metric `m`, but it says"):
        call_metric("m", find_metric("top_k_accuracy_score"), records)

    def fails(records: Any) -> float:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as caught:
        call_metric("m", fails, records)
    assert caught.value.__notes__ == ["in the metric 'm'"]

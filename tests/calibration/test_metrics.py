"""Metrics by name and as functions, against known values and scikit-learn."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as by_sklearn

from leyden.calibration import (
    compute_metric,
    f1_score,
    informedness,
    metric_at_thresholds,
    tnr,
    tnr_tpr,
    tpr,
)
from leyden.calibration.counts import COUNT_METRICS
from leyden.calibration.sample_metrics import SAMPLE_METRICS
from leyden.errors import ConfigError, DataError

TARGETS = [0, 0, 0, 0, 1, 1, 1, 1]
SCORES = [0, 0.6, 0.7, 0.9, 1, 0, 0.8, 0.6]


def test_golden_values_of_two_classes() -> None:
    targets, scores = [0, 0, 1, 0, 0, 0, 1, 1], [0.01, 0.93, 0.42, 0.61, 0.15, 0, 1, 0.5]
    assert f1_score(scores, targets) == pytest.approx(1 / 3, abs=1e-12)
    assert f1_score([0.1, 0.2, 0.3, 0.65, 0.7, 0.8], [0] * 6) == 0.5
    assert f1_score([0.1, 0.2], [0, 1]) == 0.0  # none is predicted
    assert tnr(SCORES, TARGETS) == 0.25
    assert tpr(SCORES, TARGETS) == 0.75
    assert tnr_tpr(SCORES, TARGETS) == [0.25, 0.75]
    assert informedness(SCORES, TARGETS) == 0.0


def test_a_missing_class_has_no_rate() -> None:
    assert np.isnan(tpr([0.2, 0.7], [0, 0]))
    assert np.isnan(tnr([0.2, 0.7], [1, 1]))
    assert np.isnan(informedness([0.2, 0.7], [1, 1]))
    assert f1_score([0.2, 0.3], [0, 0]) == 1.0


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=20),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_the_f_score_is_that_of_sklearn(rows: list[tuple[float, int]], beta: float) -> None:
    scores, targets = [score for score, _ in rows], [1, *(target for _, target in rows[1:])]
    decided = (np.array(scores) > 0.4).astype(int)
    by_hand = by_sklearn.fbeta_score(targets, decided, beta=beta, zero_division=0)
    found = f1_score(scores, targets, threshold=0.4, beta=beta)
    assert found == pytest.approx(by_hand, abs=1e-10)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=20))
def test_many_thresholds_are_as_one_after_another(rows: list[tuple[float, int]]) -> None:
    scores, targets = [score for score, _ in rows], [target for _, target in rows]
    tried = [0.0, 0.1, 0.35, 0.5, 0.99, 1.0]
    single: dict[str, Callable[..., float]] = {
        "f1": f1_score,
        "informedness": informedness,
        "tnr": tnr,
        "tpr": tpr,
    }
    for name, metric in single.items():
        one_by_one = [metric(scores, targets, threshold=threshold) for threshold in tried]
        together = metric_at_thresholds(scores, targets, name, tried).numpy()
        np.testing.assert_array_equal(together, one_by_one)
        looped = metric_at_thresholds(scores, targets, metric, tried).numpy()
        np.testing.assert_array_equal(looped, one_by_one)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("acc", 0.5),
        ("binary_accuracy", 0.5),
        ("F1-score", 0.6),
        ("precision", 0.5),
        ("recall", 0.75),
        ("specificity", 0.25),
        ("balanced_accuracy", 0.5),
        ("youden", 0.0),
        ("roc_auc_score", by_sklearn.roc_auc_score(TARGETS, SCORES)),
        ("auroc", by_sklearn.roc_auc_score(TARGETS, SCORES)),
        ("average_precision_score", by_sklearn.average_precision_score(TARGETS, SCORES)),
        ("brier_score_loss", by_sklearn.brier_score_loss(TARGETS, SCORES)),
        ("r2_score", by_sklearn.r2_score(TARGETS, SCORES)),
        ("MeanSquaredError", by_sklearn.mean_squared_error(TARGETS, SCORES)),
        ("max_error", 1.0),
        ("hamming_loss", 0.5),
    ],
)
def test_metrics_have_the_names_that_users_know(name: str, value: float) -> None:
    scores = torch.tensor(SCORES, dtype=torch.float64)
    assert compute_metric(scores, TARGETS, name) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "of_shares"),
    [
        ("accuracy_score", False),
        ("balanced_accuracy_score", False),
        ("cohen_kappa_score", False),
        ("sklearn.metrics.matthews_corrcoef", False),
        ("log_loss", True),
        ("top_k_accuracy_score", True),
    ],
)
def test_metrics_of_several_classes_are_given_what_was_predicted(
    name: str, *, of_shares: bool
) -> None:
    numbers = np.random.default_rng(0)
    shares, classes = numbers.dirichlet(np.ones(4), 30), numbers.integers(4, size=30)
    predicted = shares if of_shares else shares.argmax(1)
    expected = getattr(by_sklearn, name.rpartition(".")[2])(classes, predicted)
    found = compute_metric(predicted, classes, name, threshold=None)
    assert found == pytest.approx(expected, abs=1e-9)


def test_a_function_is_given_decisions_or_scores() -> None:
    def mean(predictions: torch.Tensor, targets: torch.Tensor) -> float:
        return predictions.double().mean().item()

    assert compute_metric([0.2, 0.8], [0, 1], mean) == 0.5
    assert compute_metric([0.2, 0.8], [0, 1], mean, threshold=0.9) == 0.0
    assert compute_metric([0.2, 0.7], [0, 1], mean, threshold=None) == pytest.approx(0.45)


def test_numbers_of_half_precision_are_compared_as_such() -> None:
    scores = torch.tensor([0.35, 0.8], dtype=torch.bfloat16)
    decided = (scores > 0.35).long()
    assert tpr(scores, [1, 1], threshold=0.35) == decided.double().mean().item()


def test_weights_are_for_losses() -> None:
    with pytest.raises(ConfigError, match="with the name of a loss only, but got them with 'f1'"):
        compute_metric([0.2, 0.8], [0, 1], "f1", weights=[1, 2])


@pytest.mark.parametrize("metric", [f1_score, tpr, tnr, tnr_tpr, informedness])
def test_samples_that_do_not_fit_are_refused(metric: Callable[..., Any]) -> None:
    with pytest.raises(DataError, match=re.escape("one at least, but got 1 and 2.")):
        metric([0.2], [0, 1])


RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 3, 12)
UNSUITABLE: dict[str, tuple[Any, Any]] = {
    "three classes": (RANDOM.dirichlet(np.ones(3), 12), LABELS),
    "chosen classes": (RANDOM.integers(0, 3, 12), LABELS),
    "two columns": (RANDOM.dirichlet(np.ones(2), 12), LABELS > 1),
    "labels": (RANDOM.random((12, 3)), RANDOM.random((12, 3)) > 0.5),
    "lengths": (RANDOM.random(12), LABELS[1:] > 1),
    "nothing": (np.zeros(0), np.zeros(0, int)),
    "numbers": (RANDOM.normal(size=12), RANDOM.normal(size=12)),
    "one class": (RANDOM.random(12), np.zeros(12, int)),
    "nan": (np.full(12, np.nan), LABELS > 1),
    "one number": (np.float64(0.3), np.int64(1)),
    "words": (["a", "b"], ["b", "a"]),
    "ragged": ([[1.0], [1.0, 0.0]], [1, 0]),
}
OF_LIBRARIES = [
    "matthews_corrcoef",
    "cohen_kappa",
    "auroc",
    "roc_auc_score",
    "log_loss",
    "r2_score",
]


@pytest.mark.parametrize("threshold", [0.5, None])
@pytest.mark.parametrize("name", [*COUNT_METRICS, *SAMPLE_METRICS, *OF_LIBRARIES])
@pytest.mark.filterwarnings("ignore")  # libraries warn where a metric is not defined
def test_metric_by_name_gives_a_number_or_says_what_is_wrong(
    name: str, threshold: float | None
) -> None:
    for scores, targets in UNSUITABLE.values():
        try:
            found = compute_metric(scores, targets, name, threshold=threshold)
        except (ConfigError, DataError) as error:
            assert str(error).startswith("Expected ")  # noqa: PT017 - either is right
        else:
            assert isinstance(found, float)


@pytest.mark.parametrize("threshold", [0.5, None])
def test_metric_of_two_classes_refuses_three(threshold: float | None) -> None:
    for scores, targets in (UNSUITABLE["three classes"], UNSUITABLE["chosen classes"]):
        with pytest.raises(DataError, match=r"Expected .*(scores|targets)"):
            compute_metric(scores, targets, "matthews_corrcoef", threshold=threshold)


def test_classes_beyond_the_scores_are_refused() -> None:
    with pytest.raises(DataError, match="classes from 0 to 1, but got 0 to 2"):
        compute_metric([[0.2, 0.8], [0.5, 0.5]], [0, 2], "sparse_categorical_crossentropy")


def test_half_precision_suits_metrics_of_scikit_learn() -> None:
    scores = torch.tensor([0.25, 0.75, 0.5], dtype=torch.bfloat16)
    assert compute_metric(scores, torch.tensor([0, 1, 0]), "roc_auc_score") == 1

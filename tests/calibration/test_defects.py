"""Defects of an older system in metrics, thresholds and sets; none of them is here."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import fbeta_score, mean_absolute_error, roc_auc_score
from torch import Tensor

from leyden.calibration import (
    best_subset,
    choose_goal,
    compute_metric,
    f1_score,
    find_threshold,
    metric_at_thresholds,
)

SCORES, TARGETS = [0.1, 0.4, 0.35, 0.8, 0.7, 0.2], [0, 0, 1, 1, 0, 1]


def misses(predictions: Tensor, targets: Tensor) -> float:
    return float((predictions != targets).double().mean())


# D19: errors such as mae and mse were taken for something of which more is better.
@pytest.mark.parametrize("name", ["mae", "mse", "mape", "msle", "binary_crossentropy", "hinge"])
def test_of_errors_less_is_better(name: str) -> None:
    assert choose_goal(name).higher_is_better is False


# D23: values beyond 0 and 999 were never the best ones.
@pytest.mark.parametrize("shift", [-2.0, 5000.0])
def test_any_value_can_be_the_best(shift: float) -> None:
    for better in (True, False):
        found = find_threshold(
            SCORES, TARGETS, lambda p, t: misses(p, t) + shift, higher_is_better=better
        )
        values = [misses(torch.tensor(SCORES) > th, torch.tensor(TARGETS)) for th in _grid()]
        assert found.metric == pytest.approx((max if better else min)(values) + shift)


def _grid() -> list[float]:
    return [round(step / 100, 2) for step in range(1, 100)]


# D30, D50: the threshold of a metric was always that of its highest value.
def test_threshold_of_an_error_is_that_of_its_lowest_value() -> None:
    found = find_threshold(SCORES, TARGETS, misses, higher_is_better=False)
    by_hits = find_threshold(SCORES, TARGETS, "accuracy")
    assert found.metric == pytest.approx(1 - by_hits.metric)
    assert found.value == by_hits.value
    assert find_threshold(SCORES, TARGETS, "zero_one_loss").value == by_hits.value


# D31: a threshold was handed to metrics that take none, as if it were a weight.
def test_metrics_of_scores_are_given_no_threshold() -> None:
    value = compute_metric(SCORES, TARGETS, "mae", threshold=0.9)
    assert value == pytest.approx(mean_absolute_error(TARGETS, SCORES))
    assert compute_metric(SCORES, TARGETS, "auroc", threshold=0.9) == pytest.approx(
        roc_auc_score(TARGETS, SCORES)
    )


# D48: beta was not squared where many thresholds were computed at once.
@pytest.mark.parametrize("beta", [0.5, 2.0, 3.0])
def test_beta_is_squared(beta: float) -> None:
    decisions = np.array(SCORES) > 0.3
    expected = fbeta_score(TARGETS, decisions, beta=beta)
    assert f1_score(SCORES, TARGETS, threshold=0.3, beta=beta) == pytest.approx(expected, abs=1e-9)


# D49: the cosine was that of the whole array, and not of each row.
def test_cosine_is_that_of_rows() -> None:
    one, other = np.array([[1.0, 0.0], [3.0, 4.0]]), np.array([[10.0, 0.0], [0.0, 0.1]])
    assert compute_metric(one, other, "cosine_similarity") == pytest.approx(-(1.0 + 0.8) / 2)


# D51: a metric of one's own could not choose sets by thresholds.
def test_metric_of_ones_own_chooses_sets() -> None:
    scores = [[0.1, 0.9], [0.9, 0.1], [0.2, 0.6]]
    targets = [[0, 1], [0, 1], [0, 1]]
    found = best_subset(scores, targets, misses, 2, bounds=(0.3, 0.5), higher_is_better=False)
    assert found.sets == (0, 2)
    assert found.metric == 0


# D56: sets of an error were those on which it was highest.
def test_sets_of_an_error_are_those_of_its_lowest_values() -> None:
    scores, targets = [[0.1, 0.2], [0.5, 0.9], [0.4, 0.4]], [[0.0, 0.0]] * 3
    assert best_subset(scores, targets, "mae", 2).sets == (0, 2)
    assert best_subset(scores, targets, "mae", 2, higher_is_better=True).sets == (1, 2)


# Areas under curves were those of scores without ties.
def test_equal_scores_are_half_right() -> None:
    scores, targets = [0.5, 0.5, 0.5, 0.2], [1, 0, 1, 0]
    assert compute_metric(scores, targets, "auroc") == pytest.approx(
        roc_auc_score(targets, scores), abs=1e-9
    )


# The curve at many thresholds was not that of one after another.
def test_curve_is_that_of_single_thresholds() -> None:
    curve = metric_at_thresholds(SCORES, TARGETS, "f1", [0.15, 0.3, 0.75]).tolist()
    assert curve == [f1_score(SCORES, TARGETS, threshold=at) for at in (0.15, 0.3, 0.75)]
    assert not any(map(math.isnan, curve))

"""Which sets are chosen: by their own values, and one after another by predictions."""

import re
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as by_sklearn
from torch import Tensor

from leyden.calibration import Subset, best_subset, best_subset_from_history
from leyden.errors import ConfigError, DataError

LABELS = [[0, 1, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]]
PREDICTIONS = [[0.9, 0.1, 0.8, 0.2], [0.2, 0.8, 0.1, 0.7], [0.4, 0.6, 0.3, 0.9]]


def test_golden_choices_from_history() -> None:
    values = [0.1, 0.9, 0.5, 0.7]
    assert best_subset_from_history(values, 2).sets == (1, 3)
    assert best_subset_from_history(values, 2, higher_is_better=False).sets == (0, 2)
    assert best_subset_from_history(values, 2).metric == pytest.approx(0.8)


def test_windows_are_averaged_and_equals_stay_in_order() -> None:
    windows = [[0.0, 1.0], [0.5, 0.5], [0.9, 0.0], [1.0, 0.0]]
    assert best_subset_from_history(windows, 3).sets == (0, 1, 3)
    assert best_subset_from_history(windows, 3, higher_is_better=False).sets == (2, 0, 1)
    named = best_subset_from_history(windows, 2, set_numbers=[7, 4, 9, 2])
    assert named == Subset((7, 4), 0.5)


def test_sets_without_a_value_come_last() -> None:
    values = [float("nan"), 0.2, 0.1]
    assert best_subset_from_history(values, 2).sets == (1, 2)
    assert best_subset_from_history(values, 3, higher_is_better=False).sets == (2, 1, 0)


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=7).flatmap(
        lambda values: st.tuples(st.just(values), st.integers(1, len(values)))
    ),
    st.booleans(),
)
def test_no_other_choice_from_history_is_better(drawn: tuple[list[int], int], higher: bool) -> None:
    values, size = drawn
    found = best_subset_from_history(np.array(values), size, higher_is_better=higher)
    means = [np.mean(chosen) for chosen in combinations(values, size)]
    assert found.metric == pytest.approx(max(means) if higher else min(means))
    chosen = [values[index] for index in found.sets]
    assert chosen == sorted(chosen, reverse=higher)
    for first, second in zip(found.sets, found.sets[1:], strict=False):
        assert values[first] != values[second] or first < second


def test_golden_choice_by_predictions() -> None:
    found = best_subset(PREDICTIONS, LABELS, "f1", 2)
    assert (found.sets, found.threshold) == ((0, 1), 0.09)
    assert found.metric == pytest.approx(2 / 3)


def test_the_pick_is_worked_out_by_hand() -> None:
    # At 0.5 the second set is all right, the third half; the first is all wrong.
    named: Any = {"set_numbers": [30, 10, 20], "bounds": (0.5, 0.5)}
    assert best_subset(PREDICTIONS, LABELS, "accuracy", 3, **named).sets == (10, 20, 30)
    found = best_subset(PREDICTIONS, LABELS, "accuracy", 2, **named)
    assert found == Subset((10, 20), 0.75, 0.5)


def test_a_function_of_ones_own_picks_as_the_name_does() -> None:
    def misses(predictions: Tensor, targets: Tensor) -> float:
        return (predictions != targets).double().mean().item()

    by_misses = best_subset(PREDICTIONS, LABELS, misses, 2, higher_is_better=False)
    by_hits = best_subset(PREDICTIONS, LABELS, "accuracy", 2)
    assert (by_misses.sets, by_misses.threshold) == (by_hits.sets, by_hits.threshold)
    assert by_misses.metric == pytest.approx(1 - by_hits.metric)
    worst = best_subset(PREDICTIONS, LABELS, misses, 1, bounds=(0.5, 0.5))
    assert worst.sets == (0,)  # where most are missed


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_the_elimination_is_the_documented_one(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    scores = [random.random(random.integers(2, 9)).round(2) for _ in range(5)]
    targets = [random.integers(2, size=len(part)) for part in scores]
    tried = np.arange(21) / 20

    def at(indices: list[int], threshold: float) -> float:
        flat, true = (np.concatenate([x[i] for i in indices]) for x in (scores, targets))
        return float(by_sklearn.accuracy_score(true, flat > threshold))

    left, picked = list(range(5)), []
    for _ in range(size):
        threshold = max(tried, key=lambda t: at(left, t))  # the first of equals
        picked.append(max(left, key=lambda i: at([i], threshold)))
        left.remove(picked[-1])
    found = best_subset(scores, targets, "accuracy", size, steps=20)
    assert list(found.sets) == picked
    inner = tried[1:-1]
    best = max(at(picked, t) for t in inner)
    assert found.metric == pytest.approx(best, abs=1e-9)
    equal = [t for t in inner if at(picked, t) == best]
    assert found.threshold == pytest.approx(min(equal, key=lambda t: (round(abs(t - 0.5), 9), t)))


def test_a_metric_of_scores_needs_no_threshold() -> None:
    scores = [[0.1, 0.9], [0.5, 0.5], [0.0, 1.0]]
    targets = [[0.0, 1.0]] * 3
    assert best_subset(scores, targets, "mae", 2).sets == (2, 0)
    assert best_subset(scores, targets, "mae", 2).metric == pytest.approx(0.05)
    assert best_subset(scores, targets, "mae", 2, higher_is_better=True).sets == (1, 0)
    ranked = best_subset([[0.9, 0.1], [0.2, 0.3]], [[0, 1], [0, 1]], "roc_auc_score", 1)
    assert ranked == Subset((1,), 1.0)


def test_without_bounds_a_function_is_given_scores() -> None:
    def total(scores: Tensor, targets: Tensor) -> float:
        return float(scores.sum())

    found = best_subset([[0.5, 0.5], [0.75, 0.5]], [[0, 1], [0, 1]], total, 1, bounds=None)
    assert found == Subset((1,), 1.25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 4}, "Expected `size` to be a whole number from 1 to the number of sets, 3, but"),
        ({"size": 0}, "but got 0."),
        ({"set_numbers": [1]}, "Expected `set_numbers` to be 3, one for each set, but got 1."),
        ({"targets": LABELS[:2]}, "`scores` and `targets` of as many sets, but got 3 and 2."),
        ({"steps": 1}, "Expected `steps` to be a whole number from 2, but got 1."),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: Any, message: str) -> None:
    given: Any = {"scores": PREDICTIONS, "targets": LABELS, "metric": "f1", "size": 2}
    with pytest.raises(ConfigError, match=re.escape(message)):
        best_subset(**(given | arguments))


def test_history_of_fewer_sets_is_refused() -> None:
    for values in ([0.1, 0.2], []):
        with pytest.raises(ConfigError, match=f"the number of sets, {len(values)}, but got 3"):
            best_subset_from_history(values, 3)


def test_sets_whose_scores_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="in every set, and one at least, but got 2 and 1"):
        best_subset([[0.1, 0.2]], [[0.1]], "mae", 1)
    with pytest.raises(DataError, match="and one at least, but got 2 and 1"):
        best_subset([[0.1, 0.2]], [[1]], "f1", 1)
    with pytest.raises(DataError, match="to be probabilities from 0 to 1"):
        best_subset([[0.1, 0.2], [3.0, 0.1]], [[0, 1], [0, 1]], "f1", 1)

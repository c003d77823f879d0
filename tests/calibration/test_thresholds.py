"""The search for a threshold: the best of all there are, and which of equals."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as by_sklearn
from torch import Tensor, tensor
from torchmetrics.classification import (
    BinaryAccuracy,
    BinaryCohenKappa,
    BinaryF1Score,
    BinaryFBetaScore,
    BinaryHammingDistance,
    BinaryJaccardIndex,
    BinaryMatthewsCorrCoef,
    BinaryPrecision,
)

from leyden.calibration import (
    Threshold,
    compute_metric,
    find_threshold,
    metric_at_thresholds,
)
from leyden.calibration.thresholds import candidates
from leyden.errors import ConfigError, DataError

INNER = [round(0.05 * step, 2) for step in range(1, 20)]
BY_SKLEARN: dict[str, Callable[..., Any]] = {
    "accuracy": by_sklearn.accuracy_score,
    "balanced_accuracy": by_sklearn.balanced_accuracy_score,
    "informedness": lambda *pair: by_sklearn.balanced_accuracy_score(*pair, adjusted=True),
    "f1": by_sklearn.f1_score,
    "precision": lambda *pair: by_sklearn.precision_score(*pair, zero_division=0),
    "tnr": lambda *pair: by_sklearn.recall_score(*pair, pos_label=0),
    "tpr": by_sklearn.recall_score,
}


def hits(predictions: Tensor, targets: Tensor) -> float:
    return (predictions == targets).float().mean().item()


def misses(predictions: Tensor, targets: Tensor) -> int:
    return int((predictions != targets).sum())


@st.composite
def samples(draw: st.DrawFn, *, both: bool = False) -> tuple[list[float], list[int]]:
    """Scores, many of them on thresholds, and targets."""
    score = st.sampled_from(INNER) | st.floats(0, 1)
    scores = draw(st.lists(score, min_size=2, max_size=12))
    targets = draw(st.lists(st.integers(0, 1), min_size=len(scores), max_size=len(scores)))
    return scores, [0, 1, *targets[2:]] if both else targets


@pytest.mark.parametrize(
    ("scores", "options", "expected"),
    [
        ([0.1, 0.4, 0.35, 0.8], {}, Threshold(0.34, 0.8)),
        ([0.1, 0.2, 0.6, 0.8], {}, Threshold(0.5, 1.0)),
        ([0.1, 0.2, 0.6, 0.8], {"bounds": (0.55, 0.95)}, Threshold(0.55, 1.0)),
        ([0.1, 0.2, 0.6, 0.8], {"bounds": (0.55, 0.95), "steps": 40}, Threshold(0.55, 1.0)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_golden_thresholds(
    scores: list[float], options: Any, expected: Threshold, dtype: torch.dtype
) -> None:
    found = find_threshold(torch.tensor(scores, dtype=dtype), [0, 0, 1, 1], "f1", **options)
    assert found == expected


def test_a_metric_of_nothing_but_zeros_leaves_the_preferred_threshold() -> None:
    def nothing(predictions: Tensor, targets: Tensor) -> float:
        return 0.0

    assert find_threshold([0.2, 0.7], [0, 1], nothing) == Threshold(0.5, 0.0)
    assert find_threshold([0.2, 0.7], [0, 1], nothing, higher_is_better=False).value == 0.5
    assert find_threshold([0.2, 0.7], [0, 1], nothing, prefer=0.9).value == 0.9


def test_the_direction_is_that_of_the_metric_unless_told() -> None:
    scores, targets = [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]
    distance = find_threshold(scores, targets, BinaryHammingDistance())  # 0 is best
    assert distance.metric == 0.25
    assert find_threshold(scores, targets, misses, higher_is_better=False).metric == 1
    assert find_threshold(scores, targets, misses).metric == 2
    assert find_threshold(scores, targets, "zero_one_loss").metric == 0.25
    below_zero = find_threshold(scores, targets, lambda *pair: -misses(*pair))
    assert below_zero.metric == -1


@settings(deadline=None, max_examples=60)
@given(samples(both=True), st.sampled_from(sorted(BY_SKLEARN)))
def test_no_candidate_is_better_and_the_nearest_of_equals_is_taken(
    pair: tuple[list[float], list[int]], name: str
) -> None:
    scores, targets = pair
    by_hand = [
        BY_SKLEARN[name](targets, (np.array(scores) > threshold).astype(int)) for threshold in INNER
    ]
    found = find_threshold(scores, targets, name, steps=20)
    assert found.metric == pytest.approx(max(by_hand), abs=1e-9)
    assert found.metric == pytest.approx(by_hand[INNER.index(found.value)], abs=1e-9)
    values = metric_at_thresholds(scores, targets, name, INNER)
    np.testing.assert_allclose(values, by_hand, atol=1e-9)
    equal = [t for t, value in zip(INNER, values, strict=True) if value == found.metric]
    assert found.value == min(equal, key=lambda t: (round(abs(t - 0.5), 9), t))


@settings(deadline=None)
@given(
    samples(),
    st.floats(0, 1),
    st.sampled_from([(0.0, 1.0), (0.2, 0.7), (0.0, 0.5)]),
    st.integers(2, 40),
    st.booleans(),
)
def test_any_function_is_searched_alike(
    pair: tuple[list[float], list[int]],
    prefer: float,
    bounds: tuple[float, float],
    steps: int,
    higher: bool,
) -> None:
    scores, targets = np.array(pair[0]), np.array(pair[1])
    found = find_threshold(
        scores, targets, misses, steps=steps, bounds=bounds, prefer=prefer, higher_is_better=higher
    )
    tried = candidates(steps, bounds, inner=True)
    values = [int(((scores > threshold) != targets).sum()) for threshold in tried]
    best = (max if higher else min)(values)
    equal = [t for t, value in zip(tried, values, strict=True) if value == best]
    assert found.metric == best
    assert abs(found.value - prefer) == pytest.approx(min(abs(t - prefer) for t in equal))
    assert found.value in equal


@pytest.mark.parametrize(
    ("metric", "by_hand"),
    [
        (BinaryAccuracy(), by_sklearn.accuracy_score),
        (BinaryF1Score(), by_sklearn.f1_score),
        (BinaryFBetaScore(beta=2.0), lambda *pair: by_sklearn.fbeta_score(*pair, beta=2)),
        (BinaryMatthewsCorrCoef(), by_sklearn.matthews_corrcoef),
        (BinaryCohenKappa(), by_sklearn.cohen_kappa_score),
        (BinaryJaccardIndex(), by_sklearn.jaccard_score),
        ("binary_f1_score", by_sklearn.f1_score),
        ("jaccard_index", by_sklearn.jaccard_score),
        ("torchmetrics.classification.BinaryAccuracy", by_sklearn.accuracy_score),
        ("matthews_corrcoef", by_sklearn.matthews_corrcoef),
        (by_sklearn.recall_score, by_sklearn.recall_score),
        (by_sklearn.precision_score, by_sklearn.precision_score),
        ("sklearn.metrics.recall_score", by_sklearn.recall_score),
        (hits, by_sklearn.accuracy_score),
    ],
)
def test_metrics_of_libraries_are_as_they_say(metric: Any, by_hand: Callable[..., Any]) -> None:
    random = np.random.default_rng(0)
    scores = random.random(200).round(2)
    targets = (random.random(200) < scores).astype(int)
    tried = np.array([0.1, 0.35, 0.5, 0.8])
    values = metric_at_thresholds(scores, targets, metric, tried)
    expected = [by_hand(targets, (scores > threshold).astype(int)) for threshold in tried]
    np.testing.assert_allclose(values, expected, atol=1e-6)


def test_an_object_is_left_as_it_was() -> None:
    metric = BinaryF1Score()
    metric.update(tensor([1, 1]), tensor([0, 1]))
    before = metric.compute()
    find_threshold([0.2, 0.7], [0, 1], metric)
    find_threshold([0.2, 0.7], [0, 1], BinaryF1Score(ignore_index=-1))
    assert torch.equal(metric.compute(), before)
    assert metric.tp == 1


def test_a_score_on_the_threshold_is_below_it_in_any_precision() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        score = torch.tensor([0.35], dtype=dtype)
        (value,) = metric_at_thresholds(score, [1], "tpr", [0.35])
        assert bool(value) == bool(score > 0.35) is False  # as a module decides


def test_several_labels_and_other_types_are_taken() -> None:
    scores = torch.tensor([[0.2, 0.9], [0.6, 0.1]], requires_grad=True)
    targets = torch.tensor([[False, True], [True, False]])
    assert find_threshold(scores, targets, "accuracy") == Threshold(0.5, 1.0)
    assert find_threshold([0, 1], np.array([0, 1], np.uint32), "f1").metric == 1.0


def test_other_scores_need_bounds() -> None:
    scores, targets = [-3.0, -1.0, 2.0], [0, 1, 1]
    with pytest.raises(DataError, match=re.escape("from 0 to 1, but got scores from -3 to 2. Pa")):
        find_threshold(scores, targets, "f1")
    assert find_threshold(scores, targets, "f1", bounds=(-4, 4)) == Threshold(-1.04, 1.0)


def test_equal_bounds_are_a_fixed_threshold() -> None:
    assert find_threshold([0.2, 0.4], [0, 1], "f1", bounds=(0.6, 0.6)) == Threshold(0.6, 0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 1}, "Expected `steps` to be a whole number from 2, but got 1."),
        ({"bounds": (0.6, 0.4)}, "a lowest and a highest threshold, but got (0.6, 0.4)."),
        ({"metric": "auroc"}, "compare decisions, but 'binary_auroc' takes scores. Pass such as"),
        ({"metric": "mae"}, "compare decisions, but 'mean_absolute_error' takes scores."),
        ({"metric": "f1x"}, "a known name or an import path, but got 'f1x'. Did you mean 'f1'?"),
        ({"metric": "nothing.here"}, "but got 'nothing.here'. It cannot be imported: "),
        ({"metric": "leyden.errors.__all__"}, "It is no function."),
        ({"metric": "fbeta_score"}, "Expected 'fbeta_score' to need no arguments, but "),
        ({"metric": 3}, "a name, a metric of torchmetrics or a function, but got 3."),
        ({"metric": lambda p, t: p}, "Expected the metric 'metric' to give one number, but got"),
    ],
)
def test_what_cannot_be_searched_is_refused(options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        find_threshold([0.2, 0.7], [0, 1], **({"metric": "f1"} | options))


def test_thresholds_of_a_curve_are_in_order() -> None:
    with pytest.raises(ConfigError, match=r"to be in ascending order, but got \[0\.5, 0\.1\]\."):
        metric_at_thresholds([0.2, 0.7], [0, 1], "f1", [0.5, 0.1])


def test_a_value_of_a_metric_that_says_no_direction_needs_none() -> None:
    class Aimless(BinaryPrecision):
        higher_is_better: Any = None

    scores, targets = [0.2, 0.7, 0.6], [0, 1, 0]
    assert compute_metric(scores, targets, Aimless()) == 0.5
    assert metric_at_thresholds(scores, targets, Aimless(), [0.5, 0.65]).tolist() == [0.5, 1.0]
    assert find_threshold(scores, targets, Aimless(), higher_is_better=True).metric == 1.0


def test_a_metric_that_says_no_direction_asks_for_it() -> None:
    class Undecided(BinaryF1Score):
        higher_is_better: Any = None

    with pytest.raises(ConfigError, match=r"'undecided' does not\. Pass `higher_is_better`\."):
        find_threshold([0.2, 0.7], [0, 1], Undecided())
    assert find_threshold([0.2, 0.7], [0, 1], Undecided(), higher_is_better=True).metric == 1.0


@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        ([0.2], [0, 1], "Expected as many `scores` as `targets`, and one at least, but got 1 and"),
        ([], [], "but got 0 and 0. Pass scores of the positive class only."),
        ([float("nan"), 0.1], [0, 1], "Expected `scores` to be numbers, but 1 are NaN."),
        ([0.2, 0.3], [0, 2], "Expected `targets` to be 0 or 1, but got 2."),
        ([0.2, 0.3], [0, 0], "to be a number at some threshold, but 'tpr' is NaN at all 99."),
    ],
)
def test_samples_that_do_not_fit_are_refused(scores: Any, targets: Any, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        find_threshold(scores, targets, "tpr")


def test_a_thousand_thresholds_over_a_million_scores_take_one_pass() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(1_000_000, generator=generator)
    targets = (torch.rand(1_000_000, generator=generator) < scores).long()
    found = find_threshold(scores, targets, "informedness", steps=1001)
    by_hand = by_sklearn.balanced_accuracy_score(targets, scores > found.value, adjusted=True)
    assert found.metric == pytest.approx(by_hand, abs=1e-9)
    assert 0.47 < found.value < 0.53  # where the classes are as likely

"""Losses by name: their definitions, worked out by hand, scikit-learn and NumPy."""

import re
from typing import Any

import numpy as np
import pytest
from scipy import special
from sklearn import metrics as by_sklearn

from leyden.calibration import choose_goal, compute_metric
from leyden.calibration.sample_metrics import SAMPLE_METRICS
from leyden.errors import DataError
from leyden.types import Array

RANDOM = np.random.default_rng(0)
SHARES = RANDOM.dirichlet(np.ones(4), size=30)
CLASSES = RANDOM.integers(4, size=30)
ONE_HOT = np.eye(4)[CLASSES]
VALUES, TRUE = RANDOM.random((30, 3)) + 0.1, RANDOM.random((30, 3)) + 0.1
SIGNS = np.where(RANDOM.random((30, 3)) < 0.5, -1.0, 1.0)
WEIGHTS = RANDOM.random(30) * 3

BINARY = (TRUE > 0.6).astype(float)
UNIT = VALUES / 1.2
EXPECTED: dict[str, tuple[Array, Array, Array]] = {
    "binary_crossentropy": (
        UNIT,
        BINARY,
        -(BINARY * np.log(UNIT) + (1 - BINARY) * np.log(1 - UNIT)).mean(1),
    ),
    "categorical_accuracy": (SHARES, ONE_HOT, (SHARES.argmax(1) == CLASSES).astype(float)),
    "categorical_crossentropy": (2 * SHARES, ONE_HOT, -np.log(SHARES[np.arange(30), CLASSES])),
    "categorical_hinge": (
        SHARES,
        ONE_HOT,
        np.maximum(0, 1 + (SHARES * (1 - ONE_HOT)).max(1) - SHARES[np.arange(30), CLASSES]),
    ),
    "cosine_similarity": (
        VALUES,
        TRUE,
        -(VALUES * TRUE).sum(1) / np.linalg.norm(VALUES, axis=1) / np.linalg.norm(TRUE, axis=1),
    ),
    "hinge": (VALUES, SIGNS, np.maximum(0, 1 - SIGNS * VALUES).mean(1)),
    "kullback_leibler_divergence": (
        SHARES,
        SHARES[::-1].copy(),
        special.rel_entr(SHARES[::-1], SHARES).sum(1),
    ),
    "logcosh": (VALUES, TRUE, np.log(np.cosh(VALUES - TRUE)).mean(1)),
    "mean_absolute_error": (VALUES, TRUE, np.abs(VALUES - TRUE).mean(1)),
    "mean_absolute_percentage_error": (
        VALUES,
        TRUE,
        100 * (np.abs(VALUES - TRUE) / TRUE).mean(1),
    ),
    "mean_squared_error": (VALUES, TRUE, ((VALUES - TRUE) ** 2).mean(1)),
    "mean_squared_logarithmic_error": (
        VALUES,
        TRUE,
        ((np.log1p(VALUES) - np.log1p(TRUE)) ** 2).mean(1),
    ),
    "poisson": (VALUES, TRUE, (VALUES - TRUE * np.log(VALUES)).mean(1)),
    "sparse_categorical_accuracy": (SHARES, CLASSES, (SHARES.argmax(1) == CLASSES).astype(float)),
    "sparse_categorical_crossentropy": (
        SHARES,
        CLASSES,
        -np.log(SHARES[np.arange(30), CLASSES]),
    ),
    "squared_hinge": (VALUES, SIGNS, (np.maximum(0, 1 - SIGNS * VALUES) ** 2).mean(1)),
}


def test_every_metric_has_an_example() -> None:
    assert EXPECTED.keys() == SAMPLE_METRICS.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_it_is_the_mean_over_samples_of_number_times_weight(name: str) -> None:
    scores, targets, of_samples = EXPECTED[name]
    found = compute_metric(scores, targets, name)
    assert found == pytest.approx(of_samples.mean(), abs=1e-6)
    weighted = compute_metric(scores, targets, name, weights=WEIGHTS)
    assert weighted == pytest.approx((of_samples * WEIGHTS).mean(), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "by_hand", "scores", "targets"),
    [
        ("mse", by_sklearn.mean_squared_error, VALUES, TRUE),
        ("mae", by_sklearn.mean_absolute_error, VALUES, TRUE),
        ("msle", by_sklearn.mean_squared_log_error, VALUES, TRUE),
        ("sparse_categorical_crossentropy", by_sklearn.log_loss, SHARES, CLASSES),
        ("sparse_categorical_accuracy", None, SHARES, CLASSES),
    ],
)
def test_it_is_that_of_sklearn_but_for_the_sum_of_weights(
    name: str, by_hand: Any, scores: Array, targets: Array
) -> None:
    if by_hand is None:
        by_hand, given = by_sklearn.accuracy_score, scores.argmax(1)
    else:
        given = scores
    weighted = by_hand(targets, given, sample_weight=WEIGHTS) * WEIGHTS.mean()
    found = compute_metric(scores, targets, name, weights=WEIGHTS)
    assert found == pytest.approx(weighted, abs=1e-6)


# Scores, targets, weights of the two samples, and the loss without and with them, as they are
# printed in the documentation of Keras.
GUESSES, TRUTH = [[0.6, 0.4], [0.4, 0.6]], [[0.0, 1.0], [0.0, 0.0]]
OFTEN_ONE = [[1.0, 1.0], [1.0, 0.0]]
SOME_ONE = [[1.0, 1.0], [0.0, 0.0]]
THREE_SHARES = [[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]]
PRINTED: dict[str, tuple[Any, Any, list[float], float, float]] = {
    "binary_crossentropy": (GUESSES, TRUTH, [1, 0], 0.815, 0.458),
    "categorical_crossentropy": (THREE_SHARES, [[0, 1, 0], [0, 0, 1]], [0.3, 0.7], 1.177, 0.814),
    "sparse_categorical_crossentropy": (THREE_SHARES, [1, 2], [0.3, 0.7], 1.177, 0.814),
    "hinge": (GUESSES, TRUTH, [1, 0], 1.3, 0.55),
    "squared_hinge": (GUESSES, TRUTH, [1, 0], 1.86, 0.73),
    "categorical_hinge": (GUESSES, TRUTH, [1, 0], 1.4, 0.6),
    "kullback_leibler_divergence": (GUESSES, TRUTH, [0.8, 0.2], 0.458, 0.366),
    "logcosh": (SOME_ONE, TRUTH, [0.8, 0.2], 0.108, 0.087),
    "poisson": (SOME_ONE, TRUTH, [0.8, 0.2], 0.5, 0.4),
    "mean_squared_error": (OFTEN_ONE, TRUTH, [0.7, 0.3], 0.5, 0.25),
    "mean_absolute_error": (OFTEN_ONE, TRUTH, [0.7, 0.3], 0.5, 0.25),
    "mean_squared_logarithmic_error": (OFTEN_ONE, TRUTH, [0.7, 0.3], 0.240, 0.120),
    "mean_absolute_percentage_error": (OFTEN_ONE, [[2, 1], [2, 3]], [0.7, 0.3], 50.0, 20.0),
    "cosine_similarity": ([[1, 0], [1, 1]], [[0, 1], [1, 1]], [0.8, 0.2], -0.5, -0.1),
}


def test_every_loss_has_a_printed_value() -> None:
    losses = {name for name in SAMPLE_METRICS if not choose_goal(name).higher_is_better}
    assert PRINTED.keys() == losses


@pytest.mark.parametrize("name", PRINTED)
def test_losses_are_those_that_keras_prints(name: str) -> None:
    scores, targets, weights, plain, weighted = PRINTED[name]
    assert compute_metric(scores, targets, name) == pytest.approx(plain, abs=1e-3)
    found = compute_metric(scores, targets, name, weights=weights)
    assert found == pytest.approx(weighted, abs=1e-3)


@pytest.mark.parametrize("name", sorted(EXPECTED.keys() - {"cosine_similarity"}))
def test_metric_of_all_rows_is_the_mean_of_those_of_equal_batches(name: str) -> None:
    scores, targets, _ = EXPECTED[name]
    batches = zip(np.split(scores, 5), np.split(targets, 5), np.split(WEIGHTS, 5), strict=True)
    found = [compute_metric(s, t, name, weights=w) for s, t, w in batches]
    assert np.mean(found) == pytest.approx(compute_metric(scores, targets, name, weights=WEIGHTS))


@pytest.mark.parametrize(
    "name",
    ["mse", "mae", "logcosh", "poisson", "categorical_crossentropy", "categorical_accuracy"],
)
def test_time_windows_of_a_sample_are_averaged(name: str) -> None:
    known = choose_goal(name).name
    scores, targets, of_rows = EXPECTED[known]  # thirty rows: ten samples of three windows each
    shape = (10, 3, scores.shape[1])
    weights = WEIGHTS[:10]
    found = compute_metric(scores.reshape(shape), targets.reshape(shape), name, weights=weights)
    by_hand = (of_rows.reshape(10, 3).mean(1) * weights).mean()
    assert found == pytest.approx(by_hand, abs=1e-6)


def test_a_certain_mistake_costs_a_finite_amount() -> None:
    expected = -np.log(1e-7)
    assert compute_metric([0.0], [1.0], "binary_crossentropy") == pytest.approx(expected)
    wrong = compute_metric([[1.0, 0.0]], [[0.0, 1.0]], "categorical_crossentropy")
    assert wrong == pytest.approx(expected)
    assert compute_metric([0.5], [0.0], "mape") == pytest.approx(100 * 0.5 / 1e-7)


def test_hinge_takes_zeros_for_minus_ones() -> None:
    scores = np.array([0.3, -0.2, 2.0])
    zeros = compute_metric(scores, [0.0, 1.0, 1.0], "hinge")
    assert zeros == compute_metric(scores, [-1.0, 1.0, 1.0], "hinge") == pytest.approx(2.5 / 3)


def test_of_losses_less_is_better() -> None:
    better = {name for name in SAMPLE_METRICS if choose_goal(name).higher_is_better}
    assert better == {"categorical_accuracy", "sparse_categorical_accuracy"}


@pytest.mark.parametrize(
    ("scores", "targets", "options", "message"),
    [
        ([0.1, 0.2], [0.1], {"metric": "mse"}, "but got the shapes (2,) and (1,)."),
        ([], [], {"metric": "mse"}, "but got the shapes (0,) and (0,)."),
        ([0.1], [0], {"metric": "sparse_categorical_crossentropy"}, "the shapes (1,) and (1,)."),
        (
            [0.1, 0.2],
            [0.1, 0.2],
            {"metric": "mse", "weights": [1]},
            "Expected `weights` of shape (2,), but got (1,).",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    scores: Any, targets: Any, options: Any, message: str
) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        compute_metric(scores, targets, **options)

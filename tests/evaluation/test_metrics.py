"""Named metrics give what scikit-learn gives by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn import metrics as sk

from leyden.errors import ConfigError
from leyden.evaluation import METRICS, Evaluation
from leyden.evaluation.metrics import classes_in, suiting, targets_in

Store = Callable[..., Evaluation]
RANDOM = np.random.default_rng(0)
TARGETS = RANDOM.integers(0, 3, 60)
SCORES = RANDOM.dirichlet(np.ones(3), 60)
THREE = {"target": TARGETS, "classes": SCORES.argmax(1), "probabilities": SCORES}
TWO = {
    "target": TARGETS % 2,
    "classes": (SCORES[:, 0] > 0.4).astype(int),  # by a threshold of its own
    "probabilities": np.stack([1 - SCORES[:, 0], SCORES[:, 0]], 1),
}
LABELS = (SCORES > 0.2).astype(int)  # several of three
VALUES = {"target": SCORES[:, 0], "predictions": SCORES[:, 1]}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            THREE,
            {
                "accuracy": sk.accuracy_score(TARGETS, SCORES.argmax(1)),
                "f1": sk.f1_score(TARGETS, SCORES.argmax(1), average="macro"),
                "log_loss": sk.log_loss(TARGETS, SCORES),
                "roc_auc": sk.roc_auc_score(TARGETS, SCORES, multi_class="ovr"),
                "cohen_kappa": sk.cohen_kappa_score(TARGETS, SCORES.argmax(1)),
            },
        ),
        (
            TWO,
            {
                "accuracy": sk.accuracy_score(TWO["target"], TWO["classes"]),
                "precision": sk.precision_score(TWO["target"], TWO["classes"]),
                "recall": sk.recall_score(TWO["target"], TWO["classes"]),
                "roc_auc": sk.roc_auc_score(TWO["target"], SCORES[:, 0]),
                "average_precision": sk.average_precision_score(TWO["target"], SCORES[:, 0]),
                "brier": sk.brier_score_loss(TWO["target"], SCORES[:, 0]),
            },
        ),
        (
            VALUES,
            {
                "mse": sk.mean_squared_error(SCORES[:, 0], SCORES[:, 1]),
                "rmse": sk.mean_squared_error(SCORES[:, 0], SCORES[:, 1]) ** 0.5,
                "mae": sk.mean_absolute_error(SCORES[:, 0], SCORES[:, 1]),
                "r2": sk.r2_score(SCORES[:, 0], SCORES[:, 1]),
            },
        ),
    ],
    ids=["three classes", "two classes", "values"],
)
def test_metrics_are_those_of_scikit_learn(
    store: Store, columns: dict[str, Any], expected: dict[str, float]
) -> None:
    records = store(columns).records
    for name, number in expected.items():
        assert METRICS[name](records) == pytest.approx(number), name


@pytest.mark.parametrize("name", ["confusion_matrix", "roc"])
def test_some_metrics_are_figures(store: Store, name: str) -> None:
    assert isinstance(METRICS[name](store(TWO).records), Figure)


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (THREE, ["accuracy", "f1", "log_loss", "roc_auc", "confusion_matrix"]),
        ({**THREE, "target": TARGETS % 2}, ["accuracy", "f1", "log_loss", "confusion_matrix"]),
        (VALUES, ["mse", "mae", "r2"]),
        ({"target": TARGETS * 5, "predictions": SCORES[:, 0] * 5}, ["mse", "mae", "r2"]),
        ({"target": LABELS, "classes": LABELS, "probabilities": SCORES}, ["accuracy", "f1"]),
        ({"predictions": SCORES}, []),
        ({"target": TARGETS, "loss": SCORES[:, 0]}, []),
        ({"target": SCORES, "predictions": SCORES[:, :2]}, []),
    ],
)
def test_suiting_metrics_can_be_computed(
    store: Store, columns: dict[str, Any], names: list[str]
) -> None:
    records = store(columns).records
    assert suiting(records) == names
    for name in names:
        assert METRICS[name](records) is not None


def test_one_hot_targets_scores_and_columns_are_understood(store: Store) -> None:
    records = store({"target": np.eye(3)[TARGETS], "classes": TARGETS}).records
    assert np.array_equal(targets_in(records), TARGETS)
    records = store({"target": TARGETS, "logits": SCORES}).records
    assert np.array_equal(classes_in(records), SCORES.argmax(1))
    records = store({"target": TARGETS % 2, "scores": SCORES[:, :1]}).records
    assert np.array_equal(classes_in(records), SCORES[:, 0] > 0.5)


def test_pixels_count_one_by_one(store: Store) -> None:
    targets, classes = RANDOM.integers(0, 2, (2, 5, 4, 4))
    records = store({"target": targets, "classes": classes}).records
    assert METRICS["accuracy"](records) == pytest.approx((targets == classes).mean())


def test_scores_that_are_no_probabilities_are_refused_where_that_matters(store: Store) -> None:
    logits = store({"target": TARGETS, "logits": 5 * SCORES - 1}).records
    assert METRICS["accuracy"](logits) == (SCORES.argmax(1) == TARGETS).mean()
    for name in ("log_loss", "roc_auc"):
        with pytest.raises(ConfigError, match="Expected probabilities of classes, from 0 to 1"):
            METRICS[name](logits)
    single = store({"target": TARGETS % 2, "scores": 5 * SCORES[:, 0] - 1}).records
    assert METRICS["roc_auc"](single) == sk.roc_auc_score(TARGETS % 2, SCORES[:, 0])


def test_rows_without_what_is_needed_are_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="a column `target`, but there is none"):
        METRICS["accuracy"](store({"classes": TARGETS}).records)
    with pytest.raises(ConfigError, match="one of probabilities, scores, logits, predictions and"):
        METRICS["accuracy"](store({"target": TARGETS}).records)
    with pytest.raises(ConfigError, match=r"got the shapes \(60,\) and \(60, 3\)"):
        METRICS["mse"](store({"target": SCORES[:, 0], "predictions": SCORES}).records)

"""What is known about a metric: its name, which way is better, what it takes."""

from typing import Any

import pytest
from sklearn import metrics as by_sklearn
from torch import Tensor
from torchmetrics.classification import BinaryAUROC, BinaryF1Score, MulticlassAccuracy
from torchmetrics.regression import MeanSquaredError

from leyden.calibration import choose_goal, f1_score


class Scored:
    """A metric with a direction of its own."""

    higher_is_better = False

    def __call__(self, predictions: Tensor, targets: Tensor) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("metric", "name", "higher_is_better", "decides"),
    [
        ("f1", "f1", True, True),
        ("F1-Score", "f1", True, True),
        ("mse", "mean_squared_error", False, False),
        ("kld", "kullback_leibler_divergence", False, False),
        ("hamming_distance", "binary_hamming_distance", False, True),
        ("hinge_loss", "binary_hinge_loss", False, False),
        ("zero_one_loss", "zero_one_loss", False, True),
        ("log_loss", "log_loss", False, False),
        ("roc_auc_score", "roc_auc_score", True, False),
        ("mean_poisson_deviance", "mean_poisson_deviance", False, False),
        ("sklearn.metrics.jaccard_score", "jaccard_score", True, True),
        ("leyden.calibration.f1_score", "f1_score", True, True),
        (BinaryF1Score(), "binary_f1_score", True, True),
        (BinaryAUROC(), "binary_auroc", True, False),
        (MulticlassAccuracy(num_classes=3), "multiclass_accuracy", True, False),
        (MeanSquaredError(), "mean_squared_error", False, False),
        (by_sklearn.brier_score_loss, "brier_score_loss", False, False),
        (f1_score, "f1_score", True, True),
        (Scored(), "scored", False, True),
        (lambda predictions, targets: 0.0, "metric", True, True),
    ],
)
def test_it_is_as_the_metric_says(
    metric: Any, name: str, higher_is_better: bool, decides: bool
) -> None:
    goal = choose_goal(metric)
    assert (goal.name, goal.higher_is_better, goal.decides) == (name, higher_is_better, decides)
    assert choose_goal(metric, not higher_is_better).higher_is_better is not higher_is_better

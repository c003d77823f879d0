from functools import partial
from typing import Any

import pytest
import torch
import torchmetrics
from sklearn import metrics as by_sklearn
from torch import Tensor, tensor
from torchmetrics.classification import BinaryAccuracy, MulticlassF1Score

from leyden.errors import ConfigError
from leyden.modules.objectives.metrics import leaves_open, make_metric, name_metrics

THREE = {"task": "multiclass", "num_classes": 3, "num_labels": 3, "threshold": 0.5}
TWO = THREE | {"task": "binary", "num_classes": 2}


@pytest.mark.parametrize(
    "name",
    [
        "fbeta_score",
        "f_beta_score",
        "FBetaScore",
        "torchmetrics.FBetaScore",
        torchmetrics.FBetaScore,
        partial(torchmetrics.FBetaScore, beta=1.0),
    ],
)
def test_a_metric_may_be_written_as_one_likes(name: Any) -> None:
    made = make_metric(name, TWO)
    assert type(made).__name__ == "BinaryFBetaScore"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("acc", "MulticlassAccuracy"),
        ("auc", "MulticlassAUROC"),
        ("cosine", "CosineSimilarity"),
        ("f1", "MulticlassF1Score"),
        ("iou", "MulticlassJaccardIndex"),
        ("mae", "MeanAbsoluteError"),
        ("mape", "MeanAbsolutePercentageError"),
        ("mse", "MeanSquaredError"),
        ("msle", "MeanSquaredLogError"),
        ("psnr", "PeakSignalNoiseRatio"),
        ("r2", "R2Score"),
        ("rmse", "MeanSquaredError"),
        ("ssim", "StructuralSimilarityIndexMeasure"),
        ("mean_iou", "MeanIoU"),
        ("kl_divergence", "KLDivergence"),
        ("multiclass_precision", "MulticlassPrecision"),
    ],
)
def test_metrics_have_short_names(name: str, expected: str) -> None:
    extra = {"data_range": 1.0} if name == "psnr" else {}
    assert type(make_metric({"type": name, **extra}, THREE)).__name__ == expected


def random_problem(num_classes: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.softmax(torch.randn(60, num_classes), 1), torch.randint(num_classes, (60,))


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("accuracy", by_sklearn.accuracy_score),
        ({"type": "f1_score", "average": "macro"}, partial(by_sklearn.f1_score, average="macro")),
        ({"type": "recall", "average": "macro"}, partial(by_sklearn.recall_score, average="macro")),
        ("cohen_kappa", by_sklearn.cohen_kappa_score),
        ("matthews_corr_coef", by_sklearn.matthews_corrcoef),
    ],
)
def test_metrics_of_classes_are_those_of_scikit_learn(recipe: Any, expected: Any) -> None:
    probabilities, classes = random_problem(3)
    metric = make_metric(recipe, THREE)
    metric.update(probabilities, classes)
    by_hand = expected(classes.numpy(), probabilities.argmax(1).numpy())
    assert metric.compute().item() == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("mae", by_sklearn.mean_absolute_error),
        ("mse", by_sklearn.mean_squared_error),
        ("rmse", by_sklearn.root_mean_squared_error),
        ("r2", by_sklearn.r2_score),
        ("explained_variance", by_sklearn.explained_variance_score),
    ],
)
def test_metrics_of_numbers_are_those_of_scikit_learn(recipe: Any, expected: Any) -> None:
    torch.manual_seed(0)
    predictions, targets = torch.randn(30), torch.randn(30)
    metric = make_metric(recipe, {})
    metric.update(predictions, targets)
    by_hand = expected(targets.numpy(), predictions.numpy())
    assert metric.compute().item() == pytest.approx(by_hand, rel=1e-5)


def test_what_a_recipe_gives_is_not_filled_in() -> None:
    recipe: Any = {"type": "f1_score", "task": "multiclass", "average": "macro"}
    made = make_metric(recipe, TWO)
    assert isinstance(made, MulticlassF1Score)
    assert made.num_classes == 2
    assert make_metric({"type": "binary_accuracy", "threshold": 0.8}, TWO).threshold == 0.8
    assert make_metric(partial(BinaryAccuracy, threshold=0.7), TWO).threshold == 0.7
    assert make_metric("binary_accuracy", TWO | {"threshold": 0.3}).threshold == 0.3


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("accuracy", True),
        ({"type": "accuracy", "threshold": 0.5}, False),
        ("mse", False),
        (BinaryAccuracy(), False),
        (BinaryAccuracy, True),
        (partial(BinaryAccuracy, threshold=0.5), False),
    ],
)
def test_it_is_known_which_arguments_are_left_open(recipe: Any, expected: bool) -> None:
    assert leaves_open(recipe, "threshold") is expected


def test_of_an_object_a_copy_is_made() -> None:
    metric = BinaryAccuracy(threshold=0.9)
    made = make_metric(metric, TWO)
    assert made is not metric
    made.update(tensor([0.8]), tensor([1]))
    assert made.compute() == 0
    assert metric.update_count == 0
    assert made.threshold == 0.9


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        ("f1", ["f1"]),
        ("FBetaScore", ["fbeta_score"]),
        ("torchmetrics.classification.BinaryAUROC", ["binary_auroc"]),
        ({"type": "fbeta_score", "beta": 2.0}, ["fbeta_score"]),
        (["accuracy", {"type": "auroc"}], ["accuracy", "auroc"]),
        ({"f2": {"type": "fbeta_score", "beta": 2.0}, "acc": "accuracy"}, ["f2", "acc"]),
        ((BinaryAccuracy(), MulticlassF1Score), ["binary_accuracy", "multiclass_f1_score"]),
        ([partial(BinaryAccuracy, threshold=0.1)], ["binary_accuracy"]),
        ((), []),
    ],
)
def test_a_metric_is_called_what_it_was_called(metrics: Any, names: list[str]) -> None:
    assert list(name_metrics(metrics)) == names


@pytest.mark.parametrize(
    ("metrics", "problem"),
    [
        (["f1", "auc", "f1"], "of different names, but got two called 'f1'[.] Pass a dictionary"),
        ({"f0.5": "f1"}, "without dots, and other than 'loss', but got 'f0.5'[.]"),
        ({"loss": "mse"}, "without dots, and other than 'loss', but got 'loss'[.]"),
        ([{"beta": 2.0}], "`metrics` to be names, dictionaries with a `type`, or objects, but got"),
        ([3], "`metrics` to be names, dictionaries with a `type`, or objects, but got 3[.] Pass"),
    ],
)
def test_names_that_cannot_be_used_are_refused(metrics: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        name_metrics(metrics)


def test_private_classes_of_torchmetrics_are_not_suggested() -> None:
    with pytest.raises(ConfigError, match=r"Known: [a-z]"):
        make_metric("acuracy", TWO)


@pytest.mark.parametrize(
    ("metric", "problem"),
    [
        (
            "acuracy",
            "a known type or an import path, but got 'acuracy'[.] Did you mean 'accuracy'[?]",
        ),
        ("no.such.Metric", "but got 'no.such.Metric'[.] It cannot be imported: "),
        ({"type": "fbeta_score", "beta": -1.0}, "arguments that fbeta_score takes, but got .*beta"),
        ({"type": "accuracy", "top": 2}, "arguments that accuracy takes, but got .*'top'"),
        ("torch.nn.L1Loss", "metrics of torchmetrics, but got 'torch.nn.L1Loss', which makes L1Lo"),
        ("math.pi", "a known type or an import path, but got 'math.pi'[.] It is no class[.]"),
    ],
)
def test_metrics_that_cannot_be_made_are_refused(metric: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_metric(metric, TWO)

"""A classifier of two classes, of several labels, of weighted classes; its loss and its metrics."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from lightning import Trainer
from sklearn import metrics as by_sklearn
from torch import Tensor, nn, tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy

from leyden.data import AutoDataModule
from leyden.errors import ConfigError, DataError
from leyden.modules import ClassifierModule
from leyden.shards import write_shards

MakeTrainer: TypeAlias = Callable[..., Trainer]

SMALL = {"type": "mlp", "hidden": [8], "dropout": 0.0}
ODDS = [0.25, 1.0, 3.0, 0.5, 4.0, 2.0]  # of the second class
SHARES = [odds / (1 + odds) for odds in ODDS]  # 0.2, 0.5, 0.75, 0.333, 0.8, 0.667
CLASSES = [0, 1, 1, 1, 0, 1]


def serve(folder: Path, rows: Any, labels: Any, **settings: Any) -> AutoDataModule:
    """Serve the same rows for training, validation and test, in batches of four and of two."""
    inputs = np.asarray(rows, np.float32)
    write_shards(
        folder, dict.fromkeys(range(3), inputs), labels=dict.fromkeys(range(3), np.array(labels))
    )
    return AutoDataModule(folder, val=[1], test=[2], batch_size=4, shuffle="none", **settings)


def two_classes(num_scores: int) -> Any:
    """Rows whose scores are the logarithms of the odds, for one score or for two."""
    logs = np.log(ODDS)
    return logs[:, None] if num_scores == 1 else np.stack([np.zeros(6), logs], 1)


@pytest.fixture(params=[1, 2])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, AutoDataModule]:
    """Arguments of a classifier that takes its inputs for scores, and rows of two classes."""
    task = {1: "binary", 2: "multiclass"}[request.param]
    data = serve(tmp_path / "d", two_classes(request.param), CLASSES)
    return {"network": nn.Identity(), "task": task}, data


def test_two_classes_are_judged_as_one_against_the_other(
    two: tuple[Any, AutoDataModule], make_trainer: MakeTrainer
) -> None:
    arguments, data = two
    metrics = ["accuracy", "f1", "precision", "recall", "auroc", "average_precision"]
    module = ClassifierModule(**arguments, metrics=metrics)
    (found,) = make_trainer().test(module, data, verbose=False)
    decided = [int(share > 0.5) for share in SHARES]
    assert found["test/accuracy"] == pytest.approx(by_sklearn.accuracy_score(CLASSES, decided))
    assert found["test/f1"] == pytest.approx(by_sklearn.f1_score(CLASSES, decided))
    assert found["test/precision"] == pytest.approx(by_sklearn.precision_score(CLASSES, decided))
    assert found["test/recall"] == pytest.approx(by_sklearn.recall_score(CLASSES, decided))
    assert found["test/auroc"] == pytest.approx(by_sklearn.roc_auc_score(CLASSES, SHARES))
    by_hand = by_sklearn.average_precision_score(CLASSES, SHARES)
    assert found["test/average_precision"] == pytest.approx(by_hand)
    loss = by_sklearn.log_loss(CLASSES, SHARES)
    assert found["test/loss"] == pytest.approx(loss, rel=1e-5)


def test_both_classes_have_a_probability(
    two: tuple[Any, AutoDataModule], make_trainer: MakeTrainer
) -> None:
    arguments, data = two
    found: Any = make_trainer().predict(ClassifierModule(**arguments), data)
    probabilities = torch.cat([batch["probabilities"] for batch in found])
    assert probabilities[:, 1].tolist() == pytest.approx(SHARES)
    assert probabilities.sum(1).tolist() == pytest.approx([1.0] * 6)
    assert torch.cat([batch["classes"] for batch in found]).tolist() == [0, 0, 1, 0, 1, 1]


def test_the_threshold_decides_what_is_predicted_and_counted(
    two: tuple[Any, AutoDataModule], make_trainer: MakeTrainer
) -> None:
    arguments, data = two
    fixed = {"type": "accuracy", "threshold": 0.5}
    metrics = {"follows": "accuracy", "fixed": fixed, "object": BinaryAccuracy()}
    module = ClassifierModule(**arguments, metrics=metrics, threshold=0.7)
    decided = {t: [int(share > t) for share in SHARES] for t in (0.5, 0.7, 0.3)}
    hits = {t: by_sklearn.accuracy_score(CLASSES, classes) for t, classes in decided.items()}
    assert len(set(hits.values())) == 3
    for threshold in (0.7, 0.3):
        module.threshold = threshold
        (found,) = make_trainer().test(module, data, verbose=False)
        assert found["test/follows"] == pytest.approx(hits[threshold])
        assert found["test/fixed"] == found["test/object"] == pytest.approx(hits[0.5])
        batches: Any = make_trainer().predict(module, data)
        classes = torch.cat([batch["classes"] for batch in batches])
        assert classes.tolist() == decided[threshold]


@pytest.mark.parametrize("given", [{}, {"task": "multiclass"}])
def test_the_threshold_travels_with_the_checkpoint(
    tmp_path: Path, make_trainer: MakeTrainer, given: Any
) -> None:
    data = serve(tmp_path / "d", np.random.default_rng(0).normal(size=(6, 3)), CLASSES)
    trainer = make_trainer(max_epochs=1)
    module = ClassifierModule(SMALL, **given)
    trainer.fit(module, data)
    module.threshold = 0.3
    path = tmp_path / "all.ckpt"
    trainer.save_checkpoint(path)
    loaded = ClassifierModule.load_from_checkpoint(path, weights_only=True)
    other = ClassifierModule(SMALL)
    expected: Any = trainer.predict(module, data)
    for found in (
        make_trainer().predict(loaded, data),
        make_trainer().predict(other, data, ckpt_path=path, weights_only=True),
    ):
        for batch, by_hand in zip(found or [], expected, strict=True):
            assert torch.equal(batch["classes"], (batch["probabilities"][:, 1] > 0.3).long())
            assert torch.equal(batch["classes"], by_hand["classes"])
    assert (loaded.threshold, other.threshold) == (0.3, 0.3)
    assert ClassifierModule.load_from_checkpoint(path, threshold=0.8).threshold == 0.8


def test_the_loss_makes_a_network_of_one_score(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    torch.manual_seed(0)
    rows = np.random.default_rng(0).normal(size=(100, 3))
    data = serve(tmp_path / "d", rows, (rows.sum(1) > 0).astype(np.int64))
    trainer = make_trainer(max_epochs=4)
    module = ClassifierModule(SMALL, loss="bce", optimizer={"type": "adam", "lr": 0.02})
    trainer.fit(module, data)
    assert module(torch.zeros(5, 3)).shape == (5,)
    assert trainer.callback_metrics["val/accuracy"] > 0.9
    trainer.save_checkpoint(tmp_path / "all.ckpt")
    loaded = ClassifierModule.load_from_checkpoint(tmp_path / "all.ckpt").eval()
    assert torch.equal(loaded(torch.ones(2, 3)), module.eval()(torch.ones(2, 3)))


def test_metrics_of_several_classes_can_be_asked_for_of_two(
    two: tuple[Any, AutoDataModule], make_trainer: MakeTrainer
) -> None:
    arguments, data = two
    macro: Any = {"type": "f1", "task": "multiclass", "average": "macro"}
    module = ClassifierModule(**arguments, metrics=[macro, MulticlassAccuracy(2)])
    (found,) = make_trainer().test(module, data, verbose=False)
    decided = [int(share > 0.5) for share in SHARES]
    by_hand = by_sklearn.f1_score(CLASSES, decided, average="macro")
    assert found["test/f1"] == pytest.approx(by_hand)
    by_hand = by_sklearn.balanced_accuracy_score(CLASSES, decided)
    assert found["test/multiclass_accuracy"] == pytest.approx(by_hand)


LABELS = [[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 1, 0]]


def several_labels(folder: Path, **settings: Any) -> tuple[Any, AutoDataModule]:
    rows = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    return rows, serve(folder, rows, LABELS, **settings)


def test_several_labels_are_each_judged(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    rows, data = several_labels(tmp_path / "d")
    macro: Any = {"type": "f1", "average": "macro"}
    module = ClassifierModule(
        nn.Identity(), task="multilabel", metrics=["accuracy", macro], threshold=0.4
    )
    (found,) = make_trainer().test(module, data, verbose=False)
    shares = 1 / (1 + np.exp(-rows))
    decided = (shares > 0.4).astype(int)
    targets = np.array(LABELS)
    assert found["test/accuracy"] == pytest.approx((decided == targets).mean())
    assert found["test/f1"] == pytest.approx(by_sklearn.f1_score(targets, decided, average="macro"))
    losses = binary_cross_entropy_with_logits(tensor(rows), tensor(targets, dtype=torch.float32))
    assert found["test/loss"] == pytest.approx(losses.item(), rel=1e-5)
    batches: Any = make_trainer().predict(module, data)
    assert torch.cat([batch["classes"] for batch in batches]).tolist() == decided.tolist()
    assert module.hparams["num_classes"] == 3


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.bool_])
def test_one_hot_labels_are_classes(
    tmp_path: Path, make_trainer: MakeTrainer, dtype: type[np.generic]
) -> None:
    rows = np.random.default_rng(0).normal(size=(6, 3))
    classes = np.array([2, 0, 1, 1, 2, 0])
    one_hot = np.eye(3)[classes].astype(dtype)
    found = []
    for name, labels in (("numbers", classes), ("one_hot", one_hot)):
        module = ClassifierModule(nn.Identity())
        data = serve(tmp_path / name, rows, labels)
        found.append(make_trainer().test(module, data, verbose=False))
        assert module.hparams["num_classes"] == 3
    assert found[0] == found[1]


def test_several_labels_that_are_not_said_to_be_such_are_refused(
    tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    _, data = several_labels(tmp_path / "d")
    with pytest.raises(DataError, match="Pass task='multilabel' if several may hold"):
        make_trainer().test(ClassifierModule(nn.Identity()), data, verbose=False)


def test_classes_have_weights_in_the_loss_of_every_phase(
    tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    rows = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    classes = [2, 0, 1, 1, 2, 0]
    data = serve(tmp_path / "d", rows, classes)
    module = ClassifierModule(nn.Identity(), class_weights={0: 2.0, 2: 0.5})
    (found,) = make_trainer().test(module, data, verbose=False)
    losses = cross_entropy(tensor(rows), tensor(classes), reduction="none")
    weights = tensor([2.0, 1.0, 0.5])[classes]
    assert found["test/loss"] == pytest.approx((losses * weights).mean().item(), rel=1e-5)


def test_weights_of_classes_and_of_samples_are_multiplied() -> None:
    module = ClassifierModule(
        nn.Identity(), class_weights=[1.0, 5.0], input_shape=(2,), num_classes=2
    )
    scores, classes, of_samples = torch.randn(3, 2), tensor([0, 1, 1]), tensor([1.0, 2.0, 0.5])
    losses = cross_entropy(scores, classes, reduction="none")
    expected = (losses * tensor([1.0, 10.0, 2.5])).mean()
    _, _, found = module._score((scores, classes, of_samples))
    torch.testing.assert_close(found, expected)


def test_every_place_of_a_segmentation_has_the_weight_of_its_class() -> None:
    module = ClassifierModule(
        nn.Identity(), class_weights=[1.0, 5.0, 2.0], input_shape=(3, 4, 4), num_classes=3
    )
    scores, classes = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    weights = tensor([1.0, 5.0, 2.0])
    losses = cross_entropy(scores, classes, reduction="none")
    _, _, found = module._score((scores, classes, tensor([1.0, 3.0])))
    by_hand = losses * weights[classes] * tensor([1.0, 3.0])[:, None, None]
    torch.testing.assert_close(found, by_hand.mean())


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_the_places_of_an_image_are_classified(
    tmp_path: Path, make_trainer: MakeTrainer, task: Any
) -> None:
    torch.manual_seed(0)
    images = np.random.default_rng(0).normal(size=(12, 1, 5, 6)).astype(np.float32)
    data = serve(tmp_path / "d", images, (images[:, 0] > 0.3).astype(np.int64))
    module = ClassifierModule(
        nn.Conv2d(1, 1 if task == "binary" else 2, 1),
        task=task,
        loss="dice",
        metrics=["iou", "f1"],
        optimizer={"type": "adam", "lr": 0.1},
    )
    make_trainer(max_epochs=20).fit(module, data)
    (found,) = make_trainer().test(module, data, verbose=False)
    batches: Any = make_trainer().predict(module, data)
    decided = torch.cat([batch["classes"] for batch in batches]).numpy()
    assert decided.shape == (12, 5, 6)
    labels = (images[:, 0] > 0.3).ravel()
    by_hand = by_sklearn.jaccard_score(labels, decided.ravel())
    assert found["test/iou"] == pytest.approx(by_hand)
    assert found["test/f1"] == pytest.approx(by_sklearn.f1_score(labels, decided.ravel()))
    assert by_hand > 0.8


def test_labels_have_weights_too() -> None:
    module = ClassifierModule(
        nn.Identity(),
        task="multilabel",
        class_weights=[1.0, 5.0],
        input_shape=(2,),
        num_classes=2,
    )
    scores, labels = torch.randn(3, 2), tensor([[0, 1], [1, 1], [0, 0]])
    losses = binary_cross_entropy_with_logits(scores, labels.float(), reduction="none")
    _, _, found = module._score((scores, labels))
    torch.testing.assert_close(found, (losses * tensor([1.0, 5.0])).mean())


def test_balanced_weights_come_from_the_data_and_stay_in_the_checkpoint(
    tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    data = serve(tmp_path / "d", np.random.default_rng(0).normal(size=(6, 3)), CLASSES)
    trainer = make_trainer(max_epochs=1)
    module = ClassifierModule(SMALL, class_weights="balanced")
    trainer.fit(module, data)
    balanced = [6 / (2 * 2), 6 / (2 * 4)]  # two rows of the first class, four of the second
    assert module.hparams["class_weights"] == pytest.approx(balanced)
    trainer.save_checkpoint(tmp_path / "all.ckpt")
    loaded = ClassifierModule.load_from_checkpoint(tmp_path / "all.ckpt", weights_only=True).eval()
    inputs, classes = torch.randn(4, 3), tensor([0, 1, 1, 0])
    losses = cross_entropy(loaded(inputs), classes, reduction="none")
    _, _, found = loaded._score((inputs, classes))
    torch.testing.assert_close(found, (losses * tensor(balanced)[classes]).mean())


def test_balanced_weights_need_data() -> None:
    module = ClassifierModule(
        SMALL, class_weights="balanced", input_shape=(3,), num_classes=2
    ).eval()
    problem = "training data for `class_weights='balanced'`, but there is none[.] Use a Trainer, or"
    with pytest.raises(ConfigError, match=problem):
        module._score((torch.zeros(4, 3), torch.zeros(4)))


@pytest.mark.parametrize(
    ("loss", "scores_to_loss"),
    [
        ("multi_margin", nn.MultiMarginLoss()),
        (
            {"type": "cross_entropy", "label_smoothing": 0.1},
            nn.CrossEntropyLoss(label_smoothing=0.1),
        ),
        (nn.CrossEntropyLoss(weight=tensor([1.0, 2.0])), nn.CrossEntropyLoss(tensor([1.0, 2.0]))),
        ("torch.nn.MultiMarginLoss", nn.MultiMarginLoss()),
        (nn.functional.cross_entropy, nn.CrossEntropyLoss()),
    ],
)
def test_a_loss_is_torchs_own(loss: Any, scores_to_loss: Callable[..., Tensor]) -> None:
    module = ClassifierModule(nn.Identity(), loss=loss, input_shape=(2,), num_classes=2)
    scores, classes = torch.randn(5, 2), tensor([0, 1, 1, 0, 1])
    _, _, found = module._score((scores, classes))
    torch.testing.assert_close(found, scores_to_loss(scores, classes))


def test_what_a_checkpoint_of_losses_and_metrics_holds_is_loaded(
    tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    data = serve(tmp_path / "d", np.random.default_rng(0).normal(size=(6, 3)), CLASSES)
    settings: Any = {
        "loss": {"type": "cross_entropy", "label_smoothing": 0.1},
        "metrics": {"f2": {"type": "fbeta_score", "beta": 2.0}, "auc": "auroc"},
        "class_weights": {1: 3.0},
        "prediction_weights": (1, 2),
    }
    trainer = make_trainer(max_epochs=1)
    module = ClassifierModule(SMALL, **settings)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "all.ckpt")
    loaded = ClassifierModule.load_from_checkpoint(tmp_path / "all.ckpt", weights_only=True)
    tests = [make_trainer().test(one, data, verbose=False) for one in (module, loaded)]
    assert tests[0] == tests[1]
    assert set(tests[0][0]) == {"test/loss", "test/f2", "test/auc"}


def test_it_is_known_whether_higher_is_better() -> None:
    metrics: Any = ["accuracy", "calibration_error", "stat_scores"]
    assert ClassifierModule(metrics=metrics).metric_directions == {}
    module = ClassifierModule(SMALL, metrics=metrics, input_shape=(3,), num_classes=2)
    directions = {"accuracy": True, "calibration_error": False, "stat_scores": None}
    assert module.metric_directions == {"loss": False, **directions}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"threshold": 1.2}, "Expected `threshold` to be a probability from 0 to 1, but got 1.2."),
        ({"threshold": 0.3}, "two classes, or several labels, for a `threshold`, but there are 3"),
        ({"task": "binary"}, "Expected two classes for `task='binary'`, but got 3."),
        ({"task": "binari"}, "a kind of classification, but got 'binari'. Did you mean 'binary'?"),
        ({"metrics": ["acuracy"]}, "but got 'acuracy'. Did you mean 'accuracy'?"),
        (
            {"loss": "bc"},
            "Expected `loss` to be of a known type or an import path, but got 'bc'. D",
        ),
        ({"class_weights": [1, 2, 3, 4]}, "`class_weights` for classes 0 to 2, but got one for 3"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)):
        ClassifierModule(SMALL, input_shape=(3,), num_classes=3, **arguments)


def test_a_threshold_that_does_not_fit_changes_nothing() -> None:
    module = ClassifierModule(SMALL, input_shape=(3,), num_classes=3)
    with pytest.raises(ConfigError, match="Expected two classes, or several labels"):
        module.threshold = 0.3
    assert module.threshold == 0.5


def test_a_network_of_one_score_is_told_what_to_do() -> None:
    module = ClassifierModule(nn.Linear(3, 1), input_shape=(3,), num_classes=2)
    problem = "shape (batch, 2) for `task='multiclass'`, but got (4, 1). Pass another `task` or"
    with pytest.raises(ConfigError, match=re.escape(problem)):
        module(torch.zeros(4, 3))

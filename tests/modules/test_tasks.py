import re
from typing import Any

import pytest
import torch
from torch import nn, tensor

from leyden.errors import ConfigError, DataError
from leyden.modules.tasks import Binary, Multiclass, Multilabel, choose_task


@pytest.mark.parametrize(
    ("task", "loss", "expected"),
    [
        (None, None, Multiclass),
        (None, "cross_entropy", Multiclass),
        (None, "bce", Binary),
        (None, {"type": "torch.nn.BCEWithLogitsLoss"}, Binary),
        (None, nn.BCEWithLogitsLoss(), Binary),
        (None, nn.MultiMarginLoss(), Multiclass),
        ("binary", None, Binary),
        ("multilabel", "bce", Multilabel),
        ("multiclass", "dice", Multiclass),
    ],
)
def test_the_loss_says_the_task_unless_it_is_told(task: Any, loss: Any, expected: type) -> None:
    assert choose_task(task, loss) is expected


def test_an_unknown_task_is_refused() -> None:
    problem = "`task` to be a kind of classification, but got 'multi_label'. Did you mean 'multila"
    with pytest.raises(ConfigError, match=re.escape(problem)):
        choose_task("multi_label", None)  # type: ignore[arg-type] # that is what is tested


@pytest.mark.parametrize("num_classes", [1, 3])
def test_a_binary_task_has_two_classes(num_classes: int) -> None:
    problem = f"Expected two classes for `task='binary'`, but got {num_classes}. Pass task='multi"
    with pytest.raises(ConfigError, match=re.escape(problem)):
        Binary(num_classes)


@pytest.mark.parametrize(
    ("task", "scores", "labels"),
    [
        (Multiclass(3), (4, 3), (4,)),
        (Multiclass(3), (4, 3, 5, 6), (4, 5, 6)),
        (Binary(2), (4,), (4,)),
        (Binary(2), (4, 1), (4,)),
        (Binary(2), (4, 1, 5, 6), (4, 5, 6)),
        (Multilabel(3), (4, 3), (4, 3)),
        (Multilabel(3), (4, 3, 5), (4, 3, 5)),
    ],
)
def test_scores_and_labels_fit_each_other(
    task: Multiclass, scores: tuple[int, ...], labels: tuple[int, ...]
) -> None:
    checked = task.check(torch.zeros(scores))
    targets = task.targets(torch.ones(labels), checked)
    assert targets.shape == labels
    assert targets.dtype == torch.int64
    weights = task.weights(torch.arange(3.0), targets)
    assert weights.shape == labels


@pytest.mark.parametrize(
    ("task", "scores"),
    [
        (Multiclass(3), (4, 2)),
        (Multiclass(2), (4, 1)),
        (Multiclass(2), (4,)),
        (Binary(2), (4, 2)),
        (Multilabel(3), (4, 2)),
    ],
)
def test_networks_that_give_another_number_of_scores_are_refused(
    task: Multiclass, scores: tuple[int, ...]
) -> None:
    problem = f"shape (batch, {task.num_scores}) for `task={task.name!r}`, but got {scores}. Pass"
    with pytest.raises(ConfigError, match=re.escape(problem)):
        task.check(torch.zeros(scores))


@pytest.mark.parametrize(("task", "scores"), [(Multiclass(3), (2, 3)), (Multiclass(3), (2, 3, 2))])
def test_one_hot_labels_are_numbered(task: Multiclass, scores: tuple[int, ...]) -> None:
    classes = tensor([2, 0]) if len(scores) == 2 else tensor([[2, 0], [1, 1]])
    one_hot = nn.functional.one_hot(classes, 3).movedim(-1, 1)
    for labels in (one_hot, one_hot.float(), one_hot.bool()):
        assert torch.equal(task.targets(labels, torch.zeros(scores)), classes)


def test_one_hot_labels_of_two_classes_do_for_one_score() -> None:
    found = Binary(2).targets(tensor([[1, 0], [0, 1], [1, 0]]), torch.zeros(3))
    assert found.tolist() == [0, 1, 0]


@pytest.mark.parametrize("labels", [[[1, 1, 0]], [[0, 0, 0]], [[0.5, 0.5, 0]], [[2, -1, 0]]])
def test_labels_that_only_look_one_hot_are_refused(labels: list[list[float]]) -> None:
    problem = "labels with a 1 for a single class, and else 0[.] Pass task='multilabel' if several"
    with pytest.raises(DataError, match=problem):
        Multiclass(3).targets(tensor(labels), torch.zeros(1, 3))


@pytest.mark.parametrize("shape", [(4,), (4, 2), (3, 3)])
def test_several_labels_need_one_number_each(shape: tuple[int, ...]) -> None:
    problem = f"labels of 0 and 1, of shape (4, 3), but got {shape}. Save one number for each labe"
    with pytest.raises(ConfigError, match=re.escape(problem)):
        Multilabel(3).targets(torch.zeros(shape), torch.zeros(4, 3))


def test_probabilities_are_those_of_the_task() -> None:
    odds = tensor([[1.0, 2.0, 1.0]])
    assert Multiclass(3).probabilities(odds.log())[0].tolist() == pytest.approx([0.25, 0.5, 0.25])
    assert Multilabel(3).probabilities(odds.log())[0].tolist() == pytest.approx([0.5, 2 / 3, 0.5])
    assert Binary(2).probabilities(tensor([3.0]).log())[0].tolist() == pytest.approx([0.25, 0.75])


def test_classes_are_decided_by_the_threshold_where_there_is_one() -> None:
    two = tensor([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]])
    for task in (Multiclass(2), Binary(2)):
        assert task.has_threshold
        assert task.classes(two, 0.5).tolist() == [0, 0, 1]
        assert task.classes(two, 0.3).tolist() == [0, 1, 1]  # above it, not at it
    assert Multilabel(2).classes(two, 0.35).tolist() == [[1, 0], [1, 1], [0, 1]]
    assert not Multiclass(3).has_threshold
    assert Multiclass(3).classes(tensor([[0.2, 0.5, 0.3]]), 0.5).tolist() == [1]
    assert Multiclass(2).classes(tensor([[0.5, 0.5]]), 0.5).tolist() == [0]


def test_weights_are_those_of_the_classes_or_of_the_labels() -> None:
    weights = tensor([1.0, 5.0])
    assert Multiclass(2).weights(weights, tensor([0, 1, 1])).tolist() == [1, 5, 5]
    assert Multilabel(2).weights(weights, tensor([[0, 1], [1, 1]])).tolist() == [[1, 5], [1, 5]]

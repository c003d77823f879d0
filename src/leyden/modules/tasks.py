"""Kinds of classification: what scores, labels and probabilities look like in each."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from typing_extensions import override

from leyden.errors import ConfigError, DataError, suggest
from leyden.modules.objectives import Loss, make_loss

__all__ = ["Binary", "Multiclass", "Multilabel", "TaskName", "choose_task"]

TaskName: TypeAlias = Literal["multiclass", "binary", "multilabel"]
"""One of several classes; one of two, of which the second has a score; or any of several."""


class Multiclass:
    """One of several classes: a score for each, of which the softmax is taken.

    Args:
        num_classes: How many classes there are.

    Raises:
        ConfigError: If there cannot be so many.
    """

    name: TaskName = "multiclass"
    default_loss = "cross_entropy"

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes

    @property
    def num_scores(self) -> int:
        """How many scores a sample gets."""
        return self.num_classes

    @property
    def has_two_classes(self) -> bool:
        """Whether a sample is of one of two classes."""
        return self.num_classes == 2

    @property
    def has_threshold(self) -> bool:
        """Whether what is predicted depends on a threshold."""
        return self.has_two_classes

    @property
    def metric_name(self) -> TaskName:
        """What torchmetrics calls it."""
        return "binary" if self.has_two_classes else "multiclass"

    def check(self, scores: Tensor) -> Tensor:
        """Check the scores that a network gives, ``(batch, num_scores, ...)``.

        Raises:
            ConfigError: If they are not so many.
        """
        if scores.ndim < 2 or scores.shape[1] != self.num_scores:
            problem = f"Expected the network to give scores of shape (batch, {self.num_scores})"
            got = f"for `task={self.name!r}`, but got {tuple(scores.shape)}"
            raise ConfigError(f"{problem} {got}. Pass another `task` or network.")
        return scores

    def targets(self, labels: Tensor, scores: Tensor) -> Tensor:
        """Number the classes of labels, ``(batch, ...)``, which may be one-hot.

        Raises:
            ConfigError: If the labels are of another shape.
            DataError: If they have the shape of one-hot labels, and are not.
        """
        shape = self._shape_of_targets(scores)
        if labels.shape == (shape[0], self.num_classes, *shape[1:]):
            labels = _number(labels)
        if labels.shape != shape:
            problem = f"Expected numbers of classes as labels, of shape {shape}"
            remedy = "Save one number for each sample."
            raise ConfigError(f"{problem}, but got {tuple(labels.shape)}. {remedy}")
        return labels.long()

    def _shape_of_targets(self, scores: Tensor) -> tuple[int, ...]:
        return (*scores.shape[:1], *scores.shape[2:])

    def check_targets(self, targets: Tensor) -> None:
        """Check that targets are numbers of classes; on a GPU, this waits for it.

        Raises:
            DataError: If one is below zero or above the last class.
        """
        lowest, highest = int(targets.min()), int(targets.max())
        if lowest < 0 or highest >= self.num_classes:
            problem = f"Expected labels to be numbers of classes from 0 to {self.num_classes - 1}"
            found = f"but got some from {lowest} to {highest}"
            raise DataError(f"{problem}, {found}. Number the classes from zero, or name them.")

    def for_loss(self, targets: Tensor, scores: Tensor) -> Tensor:
        """Give the targets as the loss takes them."""
        return targets

    def weights(self, of_classes: Tensor, targets: Tensor) -> Tensor:
        """Look up the weights of targets by their classes, in their shape."""
        return of_classes[targets]

    def probabilities(self, scores: Tensor) -> Tensor:
        """Turn scores into probabilities, ``(batch, num_classes, ...)``."""
        return torch.softmax(scores, dim=1)

    def classes(self, probabilities: Tensor, threshold: float) -> Tensor:
        """Decide, ``(batch, ...)``: with two classes, for the second one above the threshold."""
        if self.has_two_classes:
            return (probabilities[:, 1] > threshold).long()
        return probabilities.argmax(dim=1)


class Binary(Multiclass):
    """One of two classes: a score for the second, of which the sigmoid is taken."""

    name: TaskName = "binary"
    default_loss = "bce"

    def __init__(self, num_classes: int) -> None:
        if num_classes != 2:
            problem = "Expected two classes for `task='binary'`"
            remedy = "Pass task='multiclass' or task='multilabel', with a loss to match."
            raise ConfigError(f"{problem}, but got {num_classes}. {remedy}")
        super().__init__(num_classes)

    @property
    @override
    def num_scores(self) -> int:
        return 1

    @override
    def check(self, scores: Tensor) -> Tensor:
        return scores if scores.ndim == 1 else super().check(scores).squeeze(1)

    @override
    def _shape_of_targets(self, scores: Tensor) -> tuple[int, ...]:
        return tuple(scores.shape)

    @override
    def for_loss(self, targets: Tensor, scores: Tensor) -> Tensor:
        return targets.to(scores.dtype)

    @override
    def probabilities(self, scores: Tensor) -> Tensor:
        second = torch.sigmoid(scores)
        return torch.stack([1 - second, second], dim=1)


class Multilabel(Multiclass):
    """Any of several labels: a score for each, of which the sigmoid is taken."""

    name: TaskName = "multilabel"
    default_loss = "bce"

    @property
    @override
    def has_two_classes(self) -> bool:
        return False

    @property
    @override
    def has_threshold(self) -> bool:
        return True

    @property
    @override
    def metric_name(self) -> TaskName:
        return "multilabel"

    @override
    def targets(self, labels: Tensor, scores: Tensor) -> Tensor:
        if labels.shape != scores.shape:
            problem = f"Expected labels of 0 and 1, of shape {tuple(scores.shape)}"
            remedy = "Save one number for each label of each sample."
            raise ConfigError(f"{problem}, but got {tuple(labels.shape)}. {remedy}")
        return labels.long()

    @override
    def for_loss(self, targets: Tensor, scores: Tensor) -> Tensor:
        return targets.to(scores.dtype)

    @override
    def weights(self, of_classes: Tensor, targets: Tensor) -> Tensor:
        return of_classes.reshape(-1, *(1 for _ in targets.shape[2:])).expand(targets.shape)

    @override
    def probabilities(self, scores: Tensor) -> Tensor:
        return torch.sigmoid(scores)

    @override
    def classes(self, probabilities: Tensor, threshold: float) -> Tensor:
        return (probabilities > threshold).long()


_TASKS: dict[str, type[Multiclass]] = {kind.name: kind for kind in (Multiclass, Binary, Multilabel)}


def choose_task(task: TaskName | None, loss: Loss | None) -> type[Multiclass]:
    """Choose the kind of classification.

    Args:
        task: Its name; ``None`` for what the loss says.
        loss: The loss: the binary cross entropy is for two classes, any other for several.

    Raises:
        ConfigError: If there is no such kind, or no such loss.
    """
    if task is None:
        is_bce = loss is not None and isinstance(make_loss(loss), nn.BCEWithLogitsLoss)
        return Binary if is_bce else Multiclass
    if task not in _TASKS:
        problem = f"Expected `task` to be a kind of classification, but got {task!r}."
        raise ConfigError(f"{problem} {suggest(str(task), _TASKS)}")
    return _TASKS[task]


def _number(labels: Tensor) -> Tensor:
    """Number the classes of one-hot labels, ``(batch, classes, ...)``."""
    if not (((labels == 0) | (labels == 1)).all() & (labels.sum(dim=1) == 1).all()):
        problem = "Expected labels with a 1 for a single class, and else 0"
        raise DataError(f"{problem}. Pass task='multilabel' if several may hold.")
    return labels.long().argmax(dim=1)

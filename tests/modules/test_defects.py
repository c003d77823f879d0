"""Defects of an older system in weights of classes and time windows; none of them is here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn
from typing_extensions import override

from leyden.data import AutoDataModule
from leyden.modules import ClassifierModule
from leyden.shards import write_shards

MakeTrainer = Callable[..., Trainer]

# Probabilities of three classes in two time windows, ``(rows, windows, classes)``, and classes.
ROWS = [[[0.7, 0.2, 0.1], [0.2, 0.6, 0.2]], [[0.3, 0.3, 0.4], [0.1, 0.1, 0.8]]]
CLASSES = [1, 2]
LOSSES = -np.log([[0.2, 0.6], [0.4, 0.8]])  # of rows, by window


class AsTheyAre(nn.Module):
    """Takes the first values of a window for the scores."""

    def __init__(self) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(1))

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs[:, 0] + 0 * self.zero


def serve(folder: Path, rows: Any = ROWS, classes: Any = CLASSES, **options: Any) -> AutoDataModule:
    """Serve one set for training, and the same one for validation and test."""
    scores, labels = np.log(np.array(rows, np.float32)), np.array(classes)
    write_shards(folder, dict.fromkeys(range(3), scores), labels=dict.fromkeys(range(3), labels))
    return AutoDataModule(folder, val=[1], test=[2], windows={"size": 1}, **options)


def losses(trainer: Trainer, data: AutoDataModule, **options: Any) -> tuple[float, float]:
    """Train an epoch, and tell the loss of training and that of validation."""
    module = ClassifierModule(AsTheyAre(), input_shape=(3,), num_classes=3, **options)
    trainer.fit(module, data)
    found = trainer.callback_metrics
    return found["train/loss"].item(), found["val/loss"].item()


# D21: classes without a weight were a KeyError, and were meant to have the weight 1.
@pytest.mark.parametrize("by_data", [True, False])
def test_classes_that_are_left_out_weigh_one(
    tmp_path: Path, make_trainer: MakeTrainer, *, by_data: bool
) -> None:
    weights: dict[str, Any] = {"class_weights": {2: 5.0}}
    data = serve(tmp_path / "d", **(weights if by_data else {}))
    found = losses(make_trainer(max_epochs=1), data, **({} if by_data else weights))
    weighted = (LOSSES * [[1.0], [5.0]]).mean()
    assert found == pytest.approx((weighted, LOSSES.mean() if by_data else weighted))


# D24: weights of windows made no difference where classes had none.
def test_windows_weigh_without_weights_of_classes(
    tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    data = serve(tmp_path / "d", window_weights=(0.5, 1.5))
    found = losses(make_trainer(max_epochs=1), data)
    assert found == pytest.approx(((LOSSES * [0.5, 1.5]).mean(), LOSSES.mean()))


# D29: weights of windows in predictions alone were the end of a validation.
@pytest.mark.parametrize(("weights", "is_right"), [((0.5, 1.5), True), (None, False)])
def test_windows_weigh_in_predictions_without_weighing_in_the_loss(
    tmp_path: Path, make_trainer: MakeTrainer, weights: Any, *, is_right: bool
) -> None:
    rows = [[[0.1, 0.9], [0.8, 0.2]]]  # 0.55 is their mean, and 0.375 the weighted one
    data = serve(tmp_path / "d", rows, [0])
    module = ClassifierModule(
        AsTheyAre(), input_shape=(2,), num_classes=2, prediction_weights=weights
    )
    (found,) = make_trainer().validate(module, data, verbose=False)
    assert found["val/accuracy"] == float(is_right)

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import LightningDataModule
from sklearn.utils.class_weight import compute_class_weight

from leyden.data import AutoDataModule
from leyden.errors import ConfigError
from leyden.modules.objectives.class_weights import plain_weights, weigh_classes
from leyden.shards import write_shards

CLASSES = np.array([0, 0, 0, 0, 1, 2, 2, 1, 0, 0])


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([1.0, 2.0, 0.5], [1, 2, 0.5]),
        ((3, 4), [3, 4, 1]),
        ({2: 5.0}, [1, 1, 5]),
        (np.array([1, 2, 3], np.float32), [1, 2, 3]),
        (torch.tensor([0.5, 2, 1]), [0.5, 2, 1]),
    ],
)
def test_every_class_has_a_weight(weights: Any, expected: list[float]) -> None:
    found = weigh_classes(plain_weights(weights), 3)
    assert found is not None
    assert found.tolist() == expected


def test_equal_weights_are_none() -> None:
    assert weigh_classes(None, 3) is None


def test_balanced_weights_are_those_of_the_training_data(tmp_path: Path) -> None:
    rows = np.zeros((len(CLASSES), 2), np.float32)
    write_shards(
        tmp_path / "d", dict.fromkeys((1, 2), rows), labels={1: CLASSES, 2: np.zeros_like(CLASSES)}
    )
    data = AutoDataModule(tmp_path / "d", val=[2])
    expected = compute_class_weight("balanced", classes=np.unique(CLASSES), y=CLASSES)
    assert weigh_classes("balanced", 3) is None  # nothing is known yet
    found = weigh_classes("balanced", 3, data)
    assert found is not None
    assert found.tolist() == pytest.approx(expected.tolist())


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        ([1, 2, 3, 4], "`class_weights` for classes 0 to 2, but got one for 3[.] Leave it out[.]"),
        ({7: 1.0}, "`class_weights` for classes 0 to 2, but got one for 7[.] Leave it out[.]"),
        ({0: -1.0}, "Expected `class_weights` to be weights by class, or 'balanced', but got"),
    ],
)
def test_weights_that_are_none_are_refused(weights: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        weigh_classes(weights, 3)


def test_data_that_does_not_count_its_classes_cannot_be_balanced() -> None:
    problem = "AutoDataModule for `class_weights='balanced'`, but got LightningDataModule[.] Pass a"
    with pytest.raises(ConfigError, match=problem):
        weigh_classes("balanced", 3, LightningDataModule())

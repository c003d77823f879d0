from pathlib import Path

import numpy as np
import pytest
import torch

from leyden.errors import ConfigError
from leyden.experiment.one_hot import OneHotDataModule
from leyden.shards import write_shards
from leyden.types import Array

ROWS = np.arange(8, dtype=np.float32)[:, None]


def data_with(folder: Path, labels: Array | None) -> OneHotDataModule:
    write_shards(folder, {1: ROWS}, labels=None if labels is None else {1: labels})
    return OneHotDataModule(folder, class_weights={1: 3.0})


def test_labels_are_0_and_1_for_each_class(tmp_path: Path) -> None:
    data = data_with(tmp_path / "x", np.arange(8) % 2)
    assert (data.label_shape, data.num_classes) == ((2,), 2)
    inputs, labels, weights = data.fetch("train", 0, 0)
    classes = inputs.flatten().long() % 2
    assert torch.equal(labels, torch.eye(2)[classes])
    assert torch.equal(weights, 1.0 + 2 * classes)
    assert torch.equal(data.on_after_batch_transfer((inputs, classes), 0)[1], labels)


@pytest.mark.parametrize("labels", [np.ones(8), np.ones((8, 2), int), None])
def test_labels_that_are_no_classes_are_refused(tmp_path: Path, labels: Array | None) -> None:
    with pytest.raises(ConfigError, match="Expected numbers of classes as labels for `one_hot="):
        data_with(tmp_path / "x", labels).check()

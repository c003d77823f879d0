"""Two real photographs go all the way, from pixels to predictions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from lightning import Trainer
from sklearn.datasets import load_sample_images

from leyden.data import AutoDataModule
from leyden.modules import ClassifierModule
from leyden.shards import write_shards
from leyden.types import Array

MakeTrainer: TypeAlias = Callable[..., Trainer]

SIDE = 40  # pixels


def cut(photograph: Array) -> Array:
    """Cut a photograph into squares, (squares, 3, side, side)."""
    height, width = (extent // SIDE for extent in photograph.shape[:2])
    whole = photograph[: height * SIDE, : width * SIDE]
    squares = whole.reshape(height, SIDE, width, SIDE, 3).transpose(0, 2, 4, 1, 3)
    return squares.reshape(-1, 3, SIDE, SIDE)


@pytest.fixture
def data(tmp_path: Path) -> AutoDataModule:
    """Squares of a temple and of a flower, in sets of 32, each with the number of its picture."""
    squares = [cut(photograph) for photograph in load_sample_images().images]
    pixels, pictures = np.concatenate(squares), np.repeat([0, 1], [*map(len, squares)])
    order = np.random.default_rng(0).permutation(len(pixels)).reshape(-1, 32)
    write_shards(
        tmp_path / "squares",
        {number: pixels[rows] for number, rows in enumerate(order)},
        labels={number: pictures[rows] for number, rows in enumerate(order)},
    )
    return AutoDataModule(
        tmp_path / "squares",
        val=[8],
        test=[9],
        preprocessors=[
            {"type": "image_resize", "width": 12, "height": 8},
            {"type": "divide", "factor": 255},
        ],
        augmentors=[
            {"type": "flip", "probability": 0.5},
            {"type": "random_brightness", "probability": 0.3, "min_factor": 0.8, "max_factor": 1.2},
        ],
    )


def predict(data: AutoDataModule, make_trainer: MakeTrainer) -> tuple[float, Any]:
    torch.manual_seed(0)
    module = ClassifierModule(
        {"type": "cnn", "filters": [8]}, optimizer={"type": "adam", "lr": 0.01}
    )
    trainer = make_trainer(max_epochs=6)
    trainer.fit(module, data)
    (tested,) = trainer.test(module, data, verbose=False)
    return tested["test/accuracy"], trainer.predict(module, data)


def test_photographs_go_through_preprocessing_augmentation_training_and_prediction(
    data: AutoDataModule, make_trainer: MakeTrainer
) -> None:
    accuracy, (found,) = predict(data, make_trainer)
    assert data.sample_shape == (3, 8, 12)
    assert accuracy > 0.85
    assert found["probabilities"].shape == (32, 2)
    assert found["probabilities"].isfinite().all()
    batch: Any = data.fetch("predict", 0, 0)
    assert (found["classes"] == batch[1]).float().mean().item() == pytest.approx(accuracy)


def test_what_is_predicted_of_photographs_is_reproducible(
    data: AutoDataModule, make_trainer: MakeTrainer
) -> None:
    (_, (one,)), (_, (other,)) = (predict(data, make_trainer) for _ in range(2))
    assert torch.equal(one["probabilities"], other["probabilities"])

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import seed_everything
from PIL import Image

from leyden.experiment import Experiment
from leyden.types import Array


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep torch from waiting for threads over networks this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Begin with the same weights every time."""
    seed_everything(0, verbose=False)


@pytest.fixture
def points() -> tuple[Array, Array]:
    """Two clouds, far apart: ``(80, 3)`` and their classes."""
    numbers = np.random.default_rng(0)
    classes = np.arange(80) % 2
    rows = numbers.standard_normal((80, 3)) + 4.0 * classes[:, None]
    return rows.astype(np.float32), classes.astype(np.int64)


@pytest.fixture
def quiet() -> dict[str, Any]:
    """Arguments of a trainer."""
    return {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False}


@pytest.fixture
def make(points: tuple[Array, Array], quiet: dict[str, Any]) -> Callable[..., Experiment]:
    """Make an experiment with the clouds, of which some parts may be others."""

    def made(**parts: Any) -> Experiment:
        settings: dict[str, Any] = {
            "data": {"dataset": points, "preprocessors": ["standard_scaler"]},
            "model": {
                "model": {"type": "mlp", "hidden": [8], "optimizer": {"type": "adam", "lr": 0.05}},
                "training": {"epochs": 3, "batch_size": 16},
            },
            "trainer": quiet,
        }
        return Experiment(**(settings | parts))

    return made


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of class folders with generated images: red and blue ones, 20 of each."""
    numbers = np.random.default_rng(0)
    for channel, name in ((0, "red"), (2, "blue")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(20):
            pixels = numbers.integers(90, size=(24, 20, 3))
            pixels[..., channel] += 150
            image = Image.fromarray(pixels.astype(np.uint8))
            image.save(tmp_path / "photos" / name / f"{index}.png")
    return tmp_path / "photos"

"""Rows that are stored without a model, and a small model on small data."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from leyden.data import AutoDataModule
from leyden.evaluation import Evaluation
from leyden.evaluation.stored import store_evaluation
from leyden.modules import ClassifierModule
from leyden.runs import RunDir
from leyden.shards import write_shards

Store = Callable[..., Evaluation]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Store columns as an evaluation of a run called ``run``."""

    def make(columns: Mapping[str, Any], *, run: str = "run", step: int = 3) -> Evaluation:
        arrays = {name: np.asarray(column) for name, column in columns.items()}
        count = len(next(iter(arrays.values())))
        keys = {"set_number": np.zeros(count, np.int64), "row": np.arange(count)}

        def fill(writer: Any) -> dict[str, Any]:
            writer.add({**keys, **arrays})
            return {"split": "test"}

        return store_evaluation(RunDir(tmp_path / run), step, fill)

    return make


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six sets of unequal lengths, of which the sign of the sum is the class."""
    folder, random = tmp_path_factory.mktemp("evaluation") / "shards", np.random.default_rng(0)
    rows = {n: random.normal(size=(10 + n, 3)).astype(np.float32) for n in range(1, 7)}
    labels = {n: (part.sum(1) > 0).astype(np.int64) for n, part in rows.items()}
    write_shards(folder, rows, labels=labels)
    return folder


@pytest.fixture
def data(shards: Path) -> AutoDataModule:
    return AutoDataModule(shards, val=[5], test=[2, 4], batch_size=8)


@pytest.fixture
def module() -> ClassifierModule:
    torch.manual_seed(0)
    return ClassifierModule({"type": "mlp", "hidden": [4]}, input_shape=(3,), num_classes=2)

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leyden.data import AutoDataModule
from leyden.errors import ConfigError
from leyden.experiment import Dataset
from leyden.experiment.learned import ExperimentData, Learned
from leyden.lifecycle import STEPS, StageTimer
from leyden.shards import write_shards
from leyden.types import Array

SCALED: dict[str, Any] = {
    "preprocessors": ["standard_scaler"],
    "samples": {"train": 60},
    "shuffle": False,
}


def test_each_step_is_gone_through_in_its_order(points: tuple[Array, Array]) -> None:
    data = ExperimentData(Dataset(points, **SCALED), 16, Learned())
    timer = StageTimer()
    module = data.load(timer)
    assert list(timer.elapsed) == list(STEPS[:5])
    assert data.load(timer) is data.module is module


def test_rows_are_prepared_with_what_training_rows_taught(points: tuple[Array, Array]) -> None:
    data = ExperimentData(Dataset(points, **SCALED), 16, Learned())
    data.load(StageTimer())
    taught = points[0][:60]
    expected = (points[0] - taught.mean(axis=0)) / taught.std(axis=0)
    np.testing.assert_allclose(data.prepare(points[0])[""].numpy(), expected, rtol=1e-3, atol=1e-5)


def test_what_was_learned_before_is_not_learned_again(points: tuple[Array, Array]) -> None:
    first = ExperimentData(Dataset(points, **SCALED), 16, Learned())
    first.load(StageTimer())
    moved = (points[0] + 100, points[1])
    second = ExperimentData(Dataset(moved, **SCALED), 16, first.learned)
    batch: Any = second.load(StageTimer())
    assert batch.fetch("train", 0, 0)[0].min() > 30
    assert str(second.learned) == str(first.learned)


def test_names_of_classes_stay_where_new_data_has_none(points: tuple[Array, Array]) -> None:
    texts = np.array(["left", "right"])[points[1]]
    data = ExperimentData(Dataset((points[0], texts)), None, Learned())
    data.load(StageTimer())
    assert data.learned.class_names == ("left", "right")
    again = ExperimentData(Dataset(points), None, data.learned)
    again.load(StageTimer())
    assert again.learned.class_names == ("left", "right")


def test_windows_are_known_if_they_are_told(tmp_path: Path) -> None:
    write_shards(tmp_path / "s", {n: np.zeros((4, 12, 2), np.float32) for n in (1, 2, 3)})
    windows = {"size": 6}
    for dataset in (
        Dataset({"type": "shards", "path": tmp_path / "s", "windows": windows}),
        Dataset(tmp_path / "s", options={"windows": windows}),
    ):
        data = ExperimentData(dataset, None, Learned())
        data.load(StageTimer())
        assert str(data.windows) == "TimeWindows(6, stride=6, starts=(0,))"
    data = ExperimentData(Dataset(AutoDataModule(tmp_path / "s", windows=windows)), None, Learned())
    data.load(StageTimer())
    with pytest.raises(ConfigError, match="Expected windows to be told in a dictionary of `data`"):
        _ = data.windows

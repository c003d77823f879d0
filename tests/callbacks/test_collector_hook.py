from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from leyden.callbacks import CollectorHook, StageHooks
from leyden.errors import DataError

Quick = Callable[..., Trainer]


def test_arrays_of_an_epoch_are_joined_in_a_file(quick: Quick, tmp_path: Path) -> None:
    def values(module: Any, inputs: Any) -> Any:
        number = module.trainer.global_step
        return {"rows": np.full((2, 3), number), "deep": {"mean": inputs.new_tensor(number)}}

    hooks = StageHooks([CollectorHook(["a/values"])], {"a": {"values": values}})
    quick(hooks, max_epochs=2).fit(BoringModel())
    folder = tmp_path / "results"
    assert sorted(path.name for path in folder.iterdir()) == [
        "0000003_results.npz",
        "0000006_results.npz",
    ]
    with np.load(folder / "0000006_results.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"a_values_rows", "a_values_deep_mean"}
        assert arrays["a_values_rows"].shape == (6, 3)
        assert arrays["a_values_rows"][:, 0].tolist() == [3, 3, 4, 4, 5, 5]
        assert arrays["a_values_deep_mean"].tolist() == [3, 4, 5]


def test_what_is_no_array_is_refused(quick: Quick, tmp_path: Path) -> None:
    hook = CollectorHook(["value"], tmp_path / "mine")
    with pytest.raises(DataError, match="Expected `value` to be an array of numbers or texts"):
        quick(StageHooks([hook], {"value": lambda module, inputs: object()})).fit(BoringModel())
    assert not (tmp_path / "mine").exists()


def test_a_development_run_writes_nothing(quick: Quick, tmp_path: Path) -> None:
    hooks = StageHooks([CollectorHook(["value"])], {"value": lambda module, inputs: 1.0})
    quick(hooks, fast_dev_run=True).fit(BoringModel())
    assert list(tmp_path.iterdir()) == []

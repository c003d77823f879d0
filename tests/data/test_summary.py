from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from leyden.data import AutoDataModule
from leyden.shards import write_shards
from leyden.types import Phase

Write: TypeAlias = Callable[..., Path]


def test_a_data_module_can_be_printed(write: Write) -> None:
    data = AutoDataModule(write({1: 1000, 2: 999, 7: 1}), val=[7], batch_size=500)
    path = data.catalogs[Phase.TRAIN].path
    lines = ["train: 2 sets, 1,999 rows, 4 batches", "val: 1 set, 1 row, 1 batch"]
    assert str(data) == "\n".join([str(path), *lines])


def test_printing_looks_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "nowhere"
    assert str(AutoDataModule(path)) == f"{path}: not set up yet"


@pytest.mark.parametrize("preprocessors", [(), ["standard_scaler"]])
def test_printing_reads_nothing_and_hands_out_nothing(
    write: Write, counting: Any, preprocessors: list[str]
) -> None:
    data = AutoDataModule(write({1: 4, 2: 4}), reader=counting, preprocessors=preprocessors)
    data.catalogs  # noqa: B018 - which looks for them
    counting.read_rows.clear()
    before = str(data)
    assert counting.read_rows == []
    batches = iter(data.train_dataloader())
    next(batches)
    status = data.status
    assert str(data) == before
    assert data.status == status
    assert list(batches) == []


def test_windows_are_counted_once_they_can_be(tmp_path: Path) -> None:
    write_shards(tmp_path / "d", {1: np.zeros((6, 8, 2), np.float32)})
    data = AutoDataModule(tmp_path / "d", windows={"size": 4}, batch_size=3)
    data.catalogs  # noqa: B018 - which looks for them
    assert str(data).endswith("train: 1 set, 6 rows")
    data.setup("fit")
    assert str(data).endswith("train: 1 set, 6 rows, 4 batches")


def test_printing_refuses_nothing(write: Write) -> None:
    data = AutoDataModule(write({1: 4}), batch_size=5, drop_last=True)
    data.catalogs  # noqa: B018 - which looks for them
    assert str(data).endswith("train: 1 set, 4 rows, 0 batches")

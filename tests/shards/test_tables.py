from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from leyden.shards import discover
from leyden.shards.tables import pack_breast_cancer, pack_diabetes

TABLES: dict[str, tuple[Callable[[Path], Path], Callable[..., Any], int | None, int]] = {
    "breast_cancer": (pack_breast_cancer, load_breast_cancer, 2, 3),
    "diabetes": (pack_diabetes, load_diabetes, None, 3),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_row_is_in_one_part_with_its_label(tmp_path: Path, name: str) -> None:
    pack, load, num_classes, num_test = TABLES[name]
    folder = pack(tmp_path / name)
    found = []
    for part in ("train", "test"):
        catalog = discover(folder / part)
        assert catalog.num_classes == num_classes
        for number, rows in catalog.lengths.items():
            data = catalog.open_data(number).read(np.arange(rows))
            found += [
                (*row, label) for row, label in zip(data, catalog.read_labels(number), strict=True)
            ]
    assert len(discover(folder / "test").set_numbers) == num_test
    rows, labels = load(return_X_y=True)
    expected = [(*row, label) for row, label in zip(rows.astype(np.float32), labels, strict=True)]
    assert sorted(map(tuple, found)) == sorted(expected)


def test_what_exists_is_not_packed_again(tmp_path: Path) -> None:
    assert pack_breast_cancer(tmp_path) == pack_diabetes(tmp_path) == tmp_path
    assert list(tmp_path.iterdir()) == []

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch.demos.boring_classes import BoringDataModule

from leyden.data import AutoDataModule
from leyden.errors import ConfigError, DataError
from leyden.experiment import Dataset
from leyden.experiment.datamodule import DataRequest
from leyden.shards import write_shards
from leyden.types import Array


def load(batch_size: int | None = None, **told: Any) -> Any:
    request = DataRequest(Dataset(**told), batch_size)
    request.fetch()
    return request.load()


def rows_of(data: Any, phase: str) -> list[float]:
    plan = data.plan(phase, 0, shuffle="none")
    batches = (data.fetch(phase, 0, index) for index in range(len(plan)))
    return sorted(float(row[0]) for inputs, _ in batches for row in inputs)


@pytest.fixture
def numbered() -> tuple[Array, Array]:
    """Rows that hold their own number: ``(40, 1)``."""
    numbers = np.arange(40)
    return numbers[:, None].astype(np.float32), numbers % 2


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Ten sets of four rows that hold the set number."""
    rows = {n: np.full((4, 1), n, np.float32) for n in range(1, 11)}
    write_shards(tmp_path / "shards", rows, labels={n: np.full(4, n % 2) for n in rows})
    return tmp_path / "shards"


def test_rows_are_split_one_by_one(numbered: tuple[Array, Array]) -> None:
    samples = {"train": 21, "val": 9, "test": 10}
    data = load(dataset=numbered, samples=samples, batch_size=8)
    found = {phase: rows_of(data, phase) for phase in samples}
    assert {phase: len(rows) for phase, rows in found.items()} == samples
    assert sorted(chain.from_iterable(found.values())) == list(range(40))
    assert found["train"] != list(range(21))
    assert data.batch_size == 8


def test_without_shuffle_the_first_rows_train(numbered: tuple[Array, Array]) -> None:
    data = load(dataset=numbered, samples={"train": 30}, shuffle=False)
    assert rows_of(data, "test") == list(range(30, 40))
    assert data.fetch("train", 5, 0)[0].flatten().tolist() == list(range(30))


def test_what_is_packed_is_found_again(numbered: tuple[Array, Array], tmp_path: Path) -> None:
    told: dict[str, Any] = {"dataset": numbered, "packed_dir": tmp_path / "packed"}
    before = rows_of(load(**told), "test")
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "packed").rglob("*.npy")}
    assert len(files) == 4  # inputs and labels of two parts
    assert rows_of(load(**told), "test") == before
    assert files == {path: path.stat().st_mtime_ns for path in files}
    with pytest.raises(DataError, match="packed from one source in one way, but they differ"):
        load(**told, seed=1)


def test_a_temporary_folder_goes_with_the_data(numbered: tuple[Array, Array]) -> None:
    data = load(dataset=numbered)
    folder = data.catalogs["train"].path
    assert folder.is_dir()
    del data
    assert not folder.exists()


def test_sets_of_shards_are_shared_out_whole(shards: Path) -> None:
    data = load(dataset=shards, samples={"train": 0.5, "val": 0.2, "test": 0.3})
    numbers = {phase: data.catalogs[phase].set_numbers for phase in ("train", "val", "test")}
    assert {phase: len(some) for phase, some in numbers.items()} == {
        "train": 5,
        "val": 2,
        "test": 3,
    }
    assert sorted(chain.from_iterable(numbers.values())) == list(range(1, 11))
    in_order = load(dataset=shards, shuffle=False)
    assert in_order.catalogs["test"].set_numbers == (9, 10)


def test_shards_take_no_numbers_of_rows(shards: Path) -> None:
    with pytest.raises(ConfigError, match="`samples` of shards to be fractions, as whole sets are"):
        load(dataset=shards, samples={"train": 20})


def test_options_may_say_which_sets_are_held_out(shards: Path) -> None:
    told: dict[str, Any] = {"type": "shards", "path": shards, "test": [3]}
    data = load(dataset=told, options={"val": [1]})
    assert data.catalogs["test"].set_numbers == (3,)
    assert data.catalogs["val"].set_numbers == (1,)
    with pytest.raises(ConfigError, match="`samples` or 'test' of the options, but got both"):
        load(dataset=told, samples={"test": 0.5})


def test_folders_of_parts_are_a_split_already(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    shards.rename(tmp_path / "all" / "train")
    assert not load(dataset=tmp_path / "all").has("test")
    with pytest.raises(ConfigError, match=r"`samples` to be None where .* has a folder for a part"):
        load(dataset=tmp_path / "all", samples={"train": 0.5})


def test_a_data_module_does_everything_itself(shards: Path) -> None:
    module = AutoDataModule(shards, batch_size=4)
    assert load(dataset=module) is module
    assert isinstance(load(dataset=BoringDataModule()), BoringDataModule)
    with pytest.raises(ConfigError, match="`one_hot` to be given to the data module, but got True"):
        load(dataset=module, one_hot=True)
    with pytest.raises(ConfigError, match=r"the `batch_size` of AutoDataModule, 4, but got 8[.]"):
        load(8, dataset=module)

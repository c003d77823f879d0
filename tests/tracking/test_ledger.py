"""The ledger of a run."""

from pathlib import Path

import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from leyden.errors import DataError, MissingPathError
from leyden.tracking import Ledger, LedgerRow, read_ledger
from leyden.types import Phase


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lr=0.1" / "batches.parquet"  # a folder that looks like a partition


def make_row(batch: int, loss: torch.Tensor | float | None = None) -> LedgerRow:
    return LedgerRow(Phase.TRAIN, epoch=1, batch=batch, step=batch + 1, loss=loss)


def test_ledger_holds_every_column(path: Path) -> None:
    ledger = Ledger(path)
    ledger.append(
        LedgerRow(Phase.VAL, 2, 3, 40, name="12-b+13-a", sets=(12, 13), loss=torch.tensor(0.5))
    )
    ledger.flush()
    assert read_ledger(path).to_pylist() == [
        {
            "phase": "val",
            "epoch": 2,
            "batch": 3,
            "step": 40,
            "name": "12-b+13-a",
            "sets": [12, 13],
            "loss": 0.5,
        }
    ]


def test_column_types_do_not_depend_on_what_is_known(path: Path) -> None:
    ledger = Ledger(path)
    ledger.append(make_row(0))
    ledger.flush()
    types = {field.name: str(field.type) for field in read_ledger(path).schema}
    assert types["phase"] == types["name"] == "string"
    assert types["epoch"] == types["batch"] == types["step"] == "int64"
    assert types["sets"].startswith("list<")
    assert types["sets"].endswith("int64>")
    assert types["loss"] == "double"
    assert read_ledger(path)["loss"].to_pylist() == [None]


def test_losses_of_any_kind_become_numbers(path: Path) -> None:
    ledger = Ledger(path)
    ledger.append(make_row(0, torch.tensor(0.1)))
    ledger.append(make_row(1, torch.tensor(2, dtype=torch.float64)))
    ledger.append(make_row(2, 0.25))
    ledger.append(make_row(3, None))
    ledger.append(make_row(4, torch.tensor(0.5, dtype=torch.bfloat16)))
    ledger.flush()
    assert read_ledger(path)["loss"].to_pylist() == [0.10000000149011612, 2.0, 0.25, None, 0.5]


def test_rows_wait_for_the_flush(path: Path) -> None:
    ledger = Ledger(path)
    ledger.append(make_row(0))
    assert not path.exists()
    ledger.flush()
    ledger.append(make_row(1))
    assert read_ledger(path).num_rows == 1
    ledger.flush()
    ledger.flush()
    assert read_ledger(path)["batch"].to_pylist() == [0, 1]
    assert list(path.parent.iterdir()) == [path]


def test_flush_without_rows_makes_no_file(path: Path) -> None:
    Ledger(path).flush()
    assert not path.exists()


def test_second_ledger_continues_the_file(path: Path) -> None:
    for batch in range(2):
        ledger = Ledger(path)
        ledger.append(make_row(batch))
        ledger.flush()
    assert read_ledger(path)["batch"].to_pylist() == [0, 1]


def test_columns_of_a_later_version_are_left_out(path: Path) -> None:
    ledger = Ledger(path)
    ledger.append(make_row(0))
    ledger.flush()
    wide = read_ledger(path).append_column("rank", pa.array([0]))
    parquet.write_table(wide, path)
    assert "rank" not in read_ledger(path).column_names


def test_missing_ledger_is_named(path: Path) -> None:
    with pytest.raises(MissingPathError, match=r"Expected `path` .*batches\.parquet', which does"):
        read_ledger(path)


def test_broken_ledger_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"PAR1 but not for long")
    with pytest.raises(DataError, match=r"Expected `ledger` to be Parquet, but got .*batches"):
        Ledger(path)


@pytest.mark.parametrize("columns", [{"loss": [0.5]}, {"x": [1]}])
def test_another_table_is_refused(path: Path, columns: dict[str, list[float]]) -> None:
    path.parent.mkdir()
    parquet.write_table(pa.table(columns), path)
    with pytest.raises(DataError, match=r"to have the columns below, but got others in .*batches"):
        Ledger(path)

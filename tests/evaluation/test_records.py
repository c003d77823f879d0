"""Rows on disk: a table, and arrays beside it."""

from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from leyden.errors import DataError, MissingPathError
from leyden.evaluation.records import Records, RecordWriter
from leyden.types import Array


def write(folder: Path, *batches: dict[str, Array]) -> Records:
    with RecordWriter(folder) as writer:
        for batch in batches:
            writer.add(batch)
    return Records(folder, writer.columns)


def some(first: int, stop: int) -> dict[str, Array]:
    rows = np.arange(first, stop)
    return {
        "row": rows,
        "name": np.array([f"r{row}" * (row % 3) for row in rows]),
        "is_odd": rows % 2 == 1,
        "pair": np.stack([rows, -rows], 1).astype(np.float32),
        "square": np.multiply.outer(rows, np.eye(2)),
        "large": np.multiply.outer(rows, np.ones((5, 20))).astype(np.float32),
        "wave": rows * 1j,
    }


def test_rows_come_back_as_they_were_whatever_their_kind(tmp_path: Path) -> None:
    records = write(tmp_path, some(0, 3), some(3, 10), some(10, 11))
    expected = some(0, 11)
    assert list(records) == list(expected)
    assert records.num_rows == 11
    for name, array in expected.items():
        assert records[name].dtype.kind == array.dtype.kind, name
        assert np.array_equal(records[name], array), name


def test_small_things_are_in_the_table_and_large_ones_beside_it(tmp_path: Path) -> None:
    records = write(tmp_path, some(0, 4), some(4, 6))
    table = parquet.read_table(records.path)
    assert table.column_names == ["row", "name", "is_odd", "pair", "square"]
    assert table["pair"].to_pylist()[5] == [5.0, -5.0]
    assert isinstance(records["large"], np.memmap)
    assert np.load(tmp_path / "large.npy").shape == (6, 5, 20)
    assert np.load(tmp_path / "wave.npy").dtype == np.complex128


def test_many_rows_are_written_in_parts(tmp_path: Path) -> None:
    batches = [{"row": np.arange(start, start + 3000)} for start in range(0, 30000, 3000)]
    records = write(tmp_path, *batches)
    assert parquet.ParquetFile(records.path).num_row_groups == 4  # 9000 rows each, then the rest
    assert np.array_equal(records["row"], np.arange(30000))


@pytest.mark.parametrize(
    ("later", "told"),
    [
        ({"row": np.arange(2), "a": np.zeros((2, 3))}, r"`a` is float64 of shape \(2,\) first and"),
        ({"row": np.arange(2)}, "`a` is float64 of shape .* first and missing later"),
        ({"row": np.arange(2), "a": np.zeros((2, 2), int)}, "int64 of shape"),
    ],
)
def test_batches_that_differ_are_refused(
    tmp_path: Path, later: dict[str, Array], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        write(tmp_path, {"row": np.arange(2), "a": np.zeros((2, 2))}, later)


def test_what_is_missing_or_broken_is_told(tmp_path: Path) -> None:
    records = write(tmp_path, some(0, 3))
    with pytest.raises(KeyError, match="Did you mean 'pair'"):
        records["pairs"]
    (tmp_path / "large.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"`large` of the records to be intact, but .*large.npy"):
        records["large"]
    records.path.write_bytes(b"no table")
    with pytest.raises(DataError, match="`pair` of the records to be intact"):
        records["pair"]
    records.path.unlink()
    with pytest.raises(MissingPathError, match="which does not exist"):
        records["row"]

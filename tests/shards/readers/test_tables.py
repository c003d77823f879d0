from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leyden.errors import ShardError
from leyden.shards.readers.base import ArrayReader, reading
from leyden.shards.readers.first_line import csv_columns, find_delimiter
from leyden.shards.readers.tables import CsvReader, ParquetReader, parquet_columns
from leyden.types import Key


def table(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows_of(reader: ArrayReader) -> list[object]:
    found: list[object] = reader.read(np.arange(reader.shape[0])).tolist()
    return found


def test_a_table_with_column_names_is_read_without_them(tmp_path: Path) -> None:
    reader = CsvReader(table(tmp_path / "a.csv", "age,height\n30,1.5\n40,2\n"))
    assert (reader.shape, reader.dtype) == ((2, 2), np.dtype(np.float64))
    assert rows_of(reader) == [[30, 1.5], [40, 2]]


def test_a_table_without_column_names_is_read_whole(tmp_path: Path) -> None:
    reader = CsvReader(table(tmp_path / "a.csv", "1, 2\n3, 4\n"))
    assert (reader.dtype, rows_of(reader)) == (np.dtype(np.float64), [[1, 2], [3, 4]])


@pytest.mark.parametrize(("first", "expected"), [("a,2\n", [[3, 4]]), ("1,2\n", [[1, 2], [3, 4]])])
def test_a_byte_order_mark_is_no_part_of_the_table(
    tmp_path: Path, first: str, expected: list[object]
) -> None:
    path = table(tmp_path / "a.csv", b"\xef\xbb\xbf" + first.encode() + b"3,4\n")
    assert rows_of(CsvReader(path)) == expected
    assert csv_columns(path)[0] in ("a", "1")


def test_a_tab_can_stand_between_cells(tmp_path: Path) -> None:
    reader = CsvReader(table(tmp_path / "a.tsv", "a\tb\n1\t2\n"), delimiter="\t")
    assert rows_of(reader) == [[1, 2]]


@pytest.mark.parametrize(
    ("key", "expected"), [("b", [2, 5]), (("c", "a"), [[3, 1], [6, 4]]), (("b",), [[2], [5]])]
)
def test_columns_are_chosen_by_name(tmp_path: Path, key: Key, expected: list[object]) -> None:
    path = table(tmp_path / "a.csv", "a, b ,c\n1,2,3\n4,5,6\n")
    assert rows_of(CsvReader(path, key)) == expected


def test_columns_named_by_numbers_are_known_by_being_asked_for(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "1,2\n7,8\n9,10\n")
    assert rows_of(CsvReader(path, "2")) == [8, 10]


def test_a_column_may_end_early(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "1,2\n7,8\n,9\n,10\n")
    assert rows_of(CsvReader(path, "1")) == [7]
    assert rows_of(CsvReader(path, "2")) == [8, 9, 10]


def test_a_column_has_no_gaps(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "a,b\n1,1\n,2\n3,3\n")
    with pytest.raises(ShardError, match=r"every row of column 'a', but row 2 is empty"):
        CsvReader(path, "a")
    with pytest.raises(ShardError, match=r"every row of column 'a', but row 2 is empty"):
        CsvReader(path)


def test_a_table_of_inputs_has_no_short_columns(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "a,b\n1,1\n,2\n")
    problem = r"every row of column 'a', but row 2 is empty. Fill it, or leave the column out: .*"
    with pytest.raises(ShardError, match=rf"{problem}leyden pack a.csv DIR --drop a"):
        CsvReader(path)


def test_text_is_refused_with_the_names_of_its_columns_and_the_way_out(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "name,age,sex\nAda,36,f\n")
    expected = (
        r"but got text in 'name', 'sex'\. Call the column of labels 'label', or make shards without"
        r" the others: leyden pack a\.csv DIR --label-column NAME --drop NAME \.\.\. \(.*a\.csv\)"
    )
    with pytest.raises(ShardError, match=expected):
        CsvReader(path)
    assert rows_of(CsvReader(path, "age")) == [36]
    path = parquet(tmp_path / "a.parquet", {"x": [1.0], "name": ["Ada"]})
    with pytest.raises(ShardError, match=r"got text in 'name'\. .* leyden pack a\.parquet DIR"):
        ParquetReader(path)


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "age,height\n1,2\n")
    expected = r"a column 'heigth'\. Did you mean 'height'\? Known: age, height\. \(.*a\.csv\)"
    with pytest.raises(ShardError, match=expected):
        CsvReader(path, "heigth")


@pytest.mark.parametrize("text", ["", "\n1,2\n"])
def test_an_empty_first_line_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ShardError, match="Expected a table, but got an empty first line"):
        CsvReader(table(tmp_path / "a.csv", text))


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="rows below the names of the columns, but got none"):
        CsvReader(table(tmp_path / "a.csv", "a,b\n"))


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_marks_between_cells_are_found_in_the_first_line(tmp_path: Path, mark: str) -> None:
    path = table(tmp_path / "a.csv", "\ufeffage,height\n30,1.5\n40,2\n".replace(",", mark))
    assert find_delimiter(path) == mark
    assert csv_columns(path) == ("age", "height")
    assert rows_of(CsvReader(path)) == [[30, 1.5], [40, 2]]
    assert find_delimiter(table(path, "age;years,height\n1,2\n")) == ","
    assert find_delimiter(table(path, "age\n1\n")) == ","


def test_text_in_another_encoding_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("größe,alter\n1,2\n".encode("latin-1"))
    with pytest.raises(ShardError, match=r"text in UTF-8, .* 0xf6 .*\. Save the file in UTF-8\."):
        CsvReader(path)


def test_a_ragged_table_is_refused(tmp_path: Path) -> None:
    expected = "it cannot be parsed: .*Expected 2 columns, got 3"
    with pytest.raises(ShardError, match=expected):
        CsvReader(table(tmp_path / "a.csv", "a,b\n1,2\n1,2,3\n"))


def test_a_rewritten_table_is_read_again(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "1\n2\n")
    assert rows_of(CsvReader(path, "f0")) == [1, 2]
    assert rows_of(CsvReader(table(path, "1\n2\n3\n"), "f0")) == [1, 2, 3]


def parquet(path: Path, columns: Mapping[str, object], **options: Any) -> Path:
    pq.write_table(pa.table(dict(columns)), path, **options)
    return path


def test_columns_of_parquet_are_chosen_by_name(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"a": [1, 4], "b": [2, 5], "c": [3.5, 6]})
    assert parquet_columns(path) == ("a", "b", "c")
    assert rows_of(ParquetReader(path)) == [[1, 2, 3.5], [4, 5, 6]]
    assert rows_of(ParquetReader(path, ("c", "a"))) == [[3.5, 1], [6, 4]]
    label = ParquetReader(path, "b")
    assert (label.dtype, rows_of(label)) == (np.dtype(np.int64), [2, 5])


def test_several_columns_of_parquet_make_float64(tmp_path: Path) -> None:
    columns = {"a": pa.array([1, 2], pa.int8()), "b": pa.array([True, False])}
    path = parquet(tmp_path / "a.parquet", columns)
    reader = ParquetReader(path)
    assert (reader.shape, reader.dtype) == ((2, 2), np.dtype(np.float64))
    assert reader.read(np.array([1, 0])).tolist() == [[2, 0], [1, 1]]
    assert rows_of(ParquetReader(path, "b")) == [True, False]


def test_the_rows_of_parquet_are_not_read_to_count_them(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"a": np.arange(1000.0), "b": np.arange(1000.0)})
    content = bytearray(path.read_bytes())
    content[4:2000] = b"\xff" * 1996
    path.write_bytes(content)
    reader = ParquetReader(path)
    assert reader.shape == (1000, 2)
    with pytest.raises(ShardError, match=r"Expected .*a\.parquet"), reading(path):
        reader.read(np.array([0]))


def test_the_index_that_pandas_adds_is_no_column(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"a": [1.5], "__index_level_0__": [9]})
    assert parquet_columns(path) == ("a",)
    assert rows_of(ParquetReader(path)) == [[1.5]]


def test_a_column_of_parquet_may_end_early_but_has_no_gaps(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"1": [7, None, None], "2": [8, None, 10]})
    assert rows_of(ParquetReader(path, "1")) == [7]
    with pytest.raises(ShardError, match=r"every row of column '2', but row 2 is empty"):
        ParquetReader(path, "2")


@pytest.mark.parametrize("counted", [True, False])
def test_a_parquet_table_of_inputs_has_no_empty_cells(tmp_path: Path, counted: bool) -> None:
    columns = {"a": [1, 2, 3], "b": [1, None, 3]}
    path = parquet(tmp_path / "a.parquet", columns, write_statistics=counted)
    with pytest.raises(ShardError, match=r"every row of column 'b', but row 2 is empty"):
        rows_of(ParquetReader(path))


@pytest.mark.parametrize(
    ("column", "kind"),
    [([[1.0]], "list<element: double>"), ([b"x"], "binary")],
)
def test_a_parquet_column_that_is_no_number_is_refused(
    tmp_path: Path, column: object, kind: str
) -> None:
    path = parquet(tmp_path / "a.parquet", {"age": [36], "name": column})
    with pytest.raises(ShardError, match=rf"in column 'name', but got {kind}\. Encode them first"):
        ParquetReader(path)
    assert rows_of(ParquetReader(path, ("age",))) == [[36]]


def test_a_parquet_table_without_columns_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {})
    with pytest.raises(
        ShardError, match=r"Expected a column of numbers, but got none\. \(.*a\.par"
    ):
        ParquetReader(path)


def test_a_missing_column_of_parquet_is_named(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"age": [1], "height": [2]})
    expected = r"a column 'heigth'\. Did you mean 'height'\? Known: age, height\. \(.*a\.parquet\)"
    for key in ("heigth", ("heigth",)):
        with pytest.raises(ShardError, match=expected):
            ParquetReader(path, key)


def test_truth_values_are_numbers(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "a,b\ntrue,1\nfalse,2\n")
    assert rows_of(CsvReader(path)) == [[1, 1], [0, 2]]
    assert CsvReader(path, "a").dtype == np.dtype(np.bool_)


@pytest.mark.parametrize("text", ["7,8", "7,8\n", "a,b\n7,8"])
def test_a_table_may_have_one_row_and_no_end_of_line(tmp_path: Path, text: str) -> None:
    assert rows_of(CsvReader(table(tmp_path / "a.csv", text))) == [[7, 8]]


@pytest.mark.parametrize("nan", ["nan", "NaN", "-nan"])
def test_not_a_number_is_a_value_and_no_empty_cell(tmp_path: Path, nan: str) -> None:
    reader = CsvReader(table(tmp_path / "a.csv", f"1,{nan}\n2,{nan}\n"))
    assert np.array_equal(reader.array, [[1, np.nan], [2, np.nan]], equal_nan=True)

from pathlib import Path

import numpy as np
import pytest

from leyden.errors import DataError, ShardError
from leyden.shards import discover, pack
from leyden.shards.readers.first_line import csv_columns, is_header


def table(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\n", b'a,"' + b"x" * 200_000])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ShardError, match=r"Expected .*, but got: .*\(.*a\.csv\)"):
        csv_columns(table(tmp_path / "a.csv", content))


def test_a_missing_table_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"got: No such file or directory\. \(.*a\.csv\)"):
        csv_columns(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [(["a"], True), (["1", "b"], True), (["1", "-2.5e3"], False), (["nan", "", "inf"], False)],
)
def test_any_cell_that_is_no_number_makes_a_header(cells: list[str], expected: bool) -> None:
    assert is_header(cells) is expected


@pytest.mark.parametrize("cells", ["0.5,true", "NA,1", "FALSE,,1e-3", "null,+.5,-inf", "0x1F,-NaN"])
def test_truth_values_and_gaps_make_a_row_as_numbers_do(cells: str) -> None:
    assert not is_header(cells.split(","))


@pytest.mark.parametrize(
    "cells", ["label,0,1,2", "label,1,2,3", "2019_1,2019_2", "pred,true", "k,NA"]
)
def test_words_beside_whole_numbers_truth_values_and_gaps_are_names(cells: str) -> None:
    assert is_header(cells.split(","))


@pytest.mark.parametrize("first", ["0,1", "0,1,2", ",0", ",0,1", "index,0,1", "Unnamed: 0,0"])
def test_numbers_that_columns_without_names_are_called_are_refused(
    tmp_path: Path, first: str
) -> None:
    cells = ", ".join(map(repr, first.split(",")))
    expected = rf"plainly a row, but got {cells}\. Give the columns names, and write no index .*"
    expected += r"index=False\) in pandas\); or, if it is a row, put a line of names before it\. \("
    row = ",".join("0.5" for _ in first.split(","))
    path = table(tmp_path / "a1.csv", f"{first}\n{row}\n")
    for place in (path, tmp_path):
        with pytest.raises(ShardError, match=expected):
            discover(place)
    with pytest.raises(ShardError, match=expected):
        pack(path, tmp_path / "packed")


@pytest.mark.parametrize("first", ["5.1,3.5,Iris-setosa", "1,0,1,cat", "-1,cat", "0.5,true,cat"])
def test_words_beside_numbers_that_are_no_names_are_refused(tmp_path: Path, first: str) -> None:
    expected = r"but got .*\. If it is a row, put a line of names before it; else begin each name"
    path = table(tmp_path / "a1.csv", f"{first}\n{first}\n")
    with pytest.raises(ShardError, match=expected):
        discover(tmp_path)
    with pytest.raises(ShardError, match=expected):
        pack(path, tmp_path / "packed")
    named = table(path, ",".join("abcd"[: first.count(",")]) + f",label\n{first}\n{first}\n")
    assert discover(tmp_path).num_samples == pack(named, tmp_path / "packed").num_samples == 2


@pytest.mark.parametrize("cell", ["true", "0.5", "0"])
def test_a_first_line_of_numbers_and_truth_values_is_no_names(tmp_path: Path, cell: str) -> None:
    path = table(tmp_path / "a1.csv", f"0.5,{cell}\n" * 4)
    for catalog in (discover(tmp_path), pack(path, tmp_path / "packed")):
        assert (catalog.num_samples, catalog.column_names) == (4, None)
    with pytest.raises(DataError, match="column 'f1', but row 1 is empty"):
        discover(table(path, "0.5,NA\n0.5,1\n"))


def test_columns_that_are_asked_for_by_number_have_names(tmp_path: Path) -> None:
    path = table(tmp_path / "a1.csv", "0,1,2\n7,8,9\n")
    catalog = discover(path, inputs={"x": ["0", "2"]})
    assert catalog.open_data(1).read(np.arange(1)).tolist() == [[7, 9]]

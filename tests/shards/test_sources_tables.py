"""Tables as a source."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from leyden.errors import DataError, FormatError, MissingPathError
from leyden.shards import Table, discover, pack, read_manifest
from leyden.shards.sources import Block
from leyden.shards.sources import tables as tables_module

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write text, or columns as a Parquet table."""

    def write_one(content: str | dict[str, Any], name: str = "t.csv") -> Path:
        path = tmp_path / name
        if isinstance(content, str):
            path.write_text(content)
        else:
            pa_parquet.write_table(pa.table(content), path, row_group_size=3)
        return path

    return write_one


def whole(source: Table) -> Block:
    source.check()
    return Block.join(list(source.blocks(0, 2)))


def labels_of(source: Table) -> tuple[list[float], str]:
    labels = whole(source).labels
    assert labels is not None
    return labels.tolist(), str(labels.dtype)


def test_a_csv_file_gives_rows_and_whole_labels(write: Write) -> None:
    source = Table(write("a,y,b\n1,0,2.5\n3,1,4\n"))
    assert whole(source).inputs.tolist() == [[1, 2.5], [3, 4]]
    assert whole(source).inputs.dtype == np.float64
    assert labels_of(source) == ([0, 1], "int64")
    assert (source.num_rows, source.class_names) == (2, None)


def test_a_csv_file_of_a_spreadsheet_is_cut_at_semicolons(write: Write) -> None:
    source = Table(write("\ufeffa;y;b\r\n1;no;2.5\r\n3;yes;4\r\n"), drop=["a"])
    assert whole(source).inputs.tolist() == [[2.5], [4]]
    assert (source.class_names, source.column_names) == (("no", "yes"), ("b",))


def test_commas_in_numbers_are_told_apart_from_text(write: Write) -> None:
    source = Table(write("name;height;age\nAda;1,5;36\nBob;2;37\n"))
    expected = "text in 'name' and numbers with commas, which need points, in 'height'"
    with pytest.raises(DataError, match=expected):
        source.check()


def test_a_tsv_file_is_cut_at_tabs(write: Write) -> None:
    source = Table(write("a\tTarget\n1\t0.5\n2\t3\n", "t.tsv"))
    assert whole(source).inputs.tolist() == [[1], [2]]
    assert labels_of(source) == ([0.5, 3], "float64")


def test_texts_become_classes_in_alphabetical_order(write: Write) -> None:
    source = Table(write("a,label\n1,dog\n2, cat\n3,dog\n"))
    assert source.class_names == ("cat", "dog")
    assert labels_of(source) == ([1, 0, 1], "int64")


def test_numbers_among_texts_are_texts(write: Write) -> None:
    assert Table(write("a,label\n1,7\n2,none of these\n")).class_names == ("7", "none of these")


def test_a_column_of_labels_can_be_named(write: Write) -> None:
    source = Table(write("kind,a,y\nx,1,2\n"), label_column="kind")
    assert source.class_names == ("x",)
    assert whole(source).inputs.tolist() == [[1, 2]]


def test_a_table_without_labels_has_inputs_only(write: Write) -> None:
    assert whole(Table(write("a,b\n1,2\n"))).labels is None
    assert Table(write("a,b\n1,2\n")).class_names is None


def test_columns_without_names_are_counted(write: Write) -> None:
    path = write("1,2,0\n3,4,1\n")
    assert whole(Table(path)).inputs.shape == (2, 3)
    assert labels_of(Table(path, label_column="f2")) == ([0, 1], "int64")


def test_the_type_of_a_column_is_known_when_all_of_it_was_seen(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables_module, "BLOCK_BYTES", 64)  # so that there are several pieces
    lines = [f"{i},{i}" for i in range(40)] + ["0.5,40"]
    source = Table(write("a,y\n" + "\n".join(lines) + "\n"))
    assert whole(source).inputs[:, 0].tolist() == [*range(40), 0.5]
    assert labels_of(source) == (list(range(41)), "int64")


@pytest.mark.parametrize("start", [0, 1, 3, 4, 7])
def test_reading_begins_where_it_is_asked_to(write: Write, start: int) -> None:
    source = Table(write({"a": range(7), "y": range(7)}, "t.parquet"))
    rows = [row for block in source.blocks(start, 2) for row in block.inputs[:, 0].tolist()]
    assert rows == list(range(start, 7))


@pytest.mark.parametrize(
    ("types", "dtype"),
    [
        (["float", "float"], "float32"),
        (["int8", "uint8"], "int16"),
        (["bool", "float"], "float32"),
        (["double", "int32"], "float64"),
    ],
)
def test_columns_of_a_parquet_file_get_the_dtype_that_holds_all(
    write: Write, types: list[str], dtype: str
) -> None:
    columns = {str(i): pa.array([1, 0]).cast(kind) for i, kind in enumerate(types)}
    block = whole(Table(write(columns, "t.parquet")))
    assert str(block.inputs.dtype) == dtype
    assert block.inputs.tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (pa.array(["b", "a", "b"]), ([1, 0, 1], "int64")),
        (pa.array(["b", "a", "b"], pa.large_string()), ([1, 0, 1], "int64")),
        (pa.array(["b", "a", "b"]).dictionary_encode(), ([1, 0, 1], "int64")),
        (pa.array(["2", "1", "2"]), ([1, 0, 1], "int64")),
        (pa.array([1, 0, 1], pa.int8()), ([1, 0, 1], "int8")),
        (pa.array([True, False, True]), ([1, 0, 1], "bool")),
        (pa.array([0.5, 1, 2], pa.float32()), ([0.5, 1, 2], "float32")),
    ],
)
def test_labels_of_a_parquet_file(
    write: Write, labels: Any, expected: tuple[list[float], str]
) -> None:
    assert labels_of(Table(write({"a": range(3), "y": labels}, "t.parquet"))) == expected


def test_all_columns_that_are_no_numbers_are_told_at_once(write: Write) -> None:
    columns = {"a": [1], "city": ["Ulm"], "name": ["x"], "born": [date(2000, 1, 1)]}
    message = r"text in 'city', 'name' and date32\[day\] in 'born'. Encode them first, or leave "
    message += r"them out with `drop` \(--drop\), or pass"
    with pytest.raises(DataError, match=message):
        Table(write(columns, "t.parquet")).check()
    with pytest.raises(DataError, match="but got text in 'b'"):
        Table(write("a,b\n1,x\n2,3\n")).check()
    with pytest.raises(DataError, match=r"but got text in 'b'\. .* \(--drop\)\.$"):
        Table(write("a,b,c\n1,x,0\n2,y,1\n"), label_column="c").check()


def test_all_gaps_are_told_at_once(write: Write) -> None:
    with pytest.raises(DataError, match=r"empty: 2 in 'a', 1 in 'y', of 3 rows, first in row 1"):
        Table(write("a,b,y\n,2,x\nNA,3,\n4,5,x\n")).check()
    with pytest.raises(DataError, match=r"empty: 1 in 'a', of 2 rows, first in row 2 of 'a'"):
        Table(write({"a": [1, None]}, "t.parquet")).check()


@pytest.mark.parametrize("cell", ["nan", "NaN", "-nan"])
def test_nan_is_a_number_packed_or_not(write: Write, tmp_path: Path, cell: str) -> None:
    path = write(f"a,b,y\n1,2,0\n{cell},3,1\n")
    packed = pack(path, tmp_path / "packed")
    read = discover(path)
    for catalog in (packed, read):
        (number,) = catalog.set_numbers
        rows = catalog.open_data(number).read(np.arange(2))
        assert rows.dtype == np.float64
        assert np.isnan(rows).tolist() == [[False, False], [True, False]]


@pytest.mark.parametrize(
    ("cells", "values"),
    [(("0x1f", "2", "0x0"), [31, 2, 0]), (("true", "0", "False"), [1, 0, 0])],
)
def test_other_ways_of_writing_numbers_mean_the_same_packed_or_not(
    write: Write, tmp_path: Path, cells: tuple[str, ...], values: list[int]
) -> None:
    path = write("a,y\n" + "".join(f"{cell},{cell}\n" for cell in cells))
    packed, read = pack(path, tmp_path / "packed"), discover(path)
    assert packed.label_dtype == read.label_dtype
    assert packed.label_names is read.label_names is None
    for catalog in (packed, read):
        assert catalog.open_data(1).read(np.arange(3)).tolist() == [[value] for value in values]
        assert catalog.read_labels(1).tolist() == values


@pytest.mark.parametrize("cells", [("0x1f", "0.5"), ("true", "7"), ("false", "0.5")])
@pytest.mark.parametrize("block_bytes", [64, 1 << 16])
def test_numbers_that_are_written_in_two_ways_are_text_packed_or_not(
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cells: tuple[str, ...],
    block_bytes: int,
) -> None:
    monkeypatch.setattr(tables_module, "BLOCK_BYTES", block_bytes)
    path = write("a,b\n" + "".join(f"{cell},1\n" * 40 for cell in cells))
    with pytest.raises(DataError, match="but got text in 'a'"):
        pack(path, tmp_path / "packed")
    with pytest.raises(DataError, match="but got text in 'a'"):
        discover(path)


@pytest.mark.parametrize("cell", ["2020-01-01", "12:30", "12:30:00", "2020-01-01T12:30:00Z"])
def test_dates_and_times_are_words_packed_or_not(write: Write, tmp_path: Path, cell: str) -> None:
    path = write(f"a,y\n1,{cell}\n2,{cell.replace('1', '2')}\n")
    for catalog in (pack(path, tmp_path / "packed"), discover(path)):
        assert catalog.label_names == (cell, cell.replace("1", "2"))
        assert catalog.read_labels(1).tolist() == [0, 1]
    path = write(f"a,y\n{cell},1\n{cell},0\n", "inputs.csv")
    with pytest.raises(DataError, match="but got text in 'a'"):
        pack(path, tmp_path / "inputs")
    with pytest.raises(DataError, match="but got text in 'a'"):
        discover(path)


def test_a_line_may_be_long_packed_or_not(write: Write, tmp_path: Path) -> None:
    names, cells = (",".join(map(text.format, range(3000))) for text in ("c{}", "0.{:0400}"))
    path = write(f"{names}\n{cells}\n{cells}\n")
    for catalog in (pack(path, tmp_path / "packed"), discover(path)):
        assert (catalog.num_samples, catalog.sample_shape) == (2, (3000,))


@pytest.mark.parametrize("cell", ["", "NA", "null"])
def test_an_empty_cell_is_a_gap_packed_or_not(write: Write, tmp_path: Path, cell: str) -> None:
    path = write(f"a,b,y\n1,2,0\n{cell},3,1\n5,6,0\n")
    with pytest.raises(DataError, match=r"first in row 2 of 'a'\. .* \(--drop\)"):
        pack(path, tmp_path / "packed")
    with pytest.raises(DataError, match=r"column 'a', but row 2 is empty\. .* --drop a"):
        discover(path)
    last = write(f"a,b\n1,2\n{cell},{cell}\n", "last.csv")
    with pytest.raises(DataError, match="first in row 2 of 'a'"):
        pack(last, tmp_path / "packed")
    with pytest.raises(DataError, match="column 'a', but row 2 is empty"):
        discover(last)
    words = write(f"a,y\n1,cat\n2,{cell}\n3,dog\n", "words.csv")
    with pytest.raises(DataError, match="first in row 2 of 'y'"):
        pack(words, tmp_path / "packed")
    with pytest.raises(DataError, match="a word in every row of column 'y', but row 2 is empty"):
        discover(words)


@pytest.mark.parametrize("line", ["good, would buy again", "3,pieces"])  # which could be a row
def test_a_text_in_quotes_may_have_any_number_of_lines(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(tables_module, "BLOCK_BYTES", 1 << 17)
    review = "\n".join([line] * 4_000)
    path = write("a,review\n" + "".join(f'{i},"{review}"\n' for i in range(60)))
    packed = pack(Table(path, drop=["review"]), tmp_path / "packed")
    assert packed.open_data(1).read(np.arange(60)).tolist() == [[i] for i in range(60)]
    read = discover(path, inputs={"x": ["a"]}, rows_per_set=60)
    assert read.open_data(1).read(np.arange(60)).tolist() == [[i] for i in range(60)]


def test_the_name_of_a_column_may_have_several_lines(write: Write, tmp_path: Path) -> None:
    path = write('"length\n\nin cm",y\n1.5,cat\n2,dog\n')
    for catalog in (pack(path, tmp_path / "packed"), discover(path)):
        assert catalog.open_data(1).read(np.arange(2)).tolist() == [[1.5], [2]]
        assert catalog.column_names == ("length\n\nin cm",)
        assert catalog.label_names == ("cat", "dog")


def test_an_empty_line_in_a_table_of_one_column_is_a_gap(write: Write, tmp_path: Path) -> None:
    path = write("a\n1\n\n3\n")
    with pytest.raises(DataError, match=r"empty: 1 in 'a', of 3 rows, first in row 2 of 'a'"):
        pack(path, tmp_path / "packed")
    with pytest.raises(DataError, match="column 'a', but row 2 is empty"):
        discover(path)


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\r\n\r\n\r\n", "\n" * 200_000])
@pytest.mark.parametrize("names", ["a", "a,b"])
def test_empty_lines_at_the_end_are_no_rows(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: str, end: str
) -> None:
    monkeypatch.setattr(tables_module, "BLOCK_BYTES", 1 << 16)
    rows = [",".join("1" for _ in names.split(",")), ",".join("2" for _ in names.split(","))]
    path = write("\n".join([names, *rows]) + end)
    for catalog in (pack(path, tmp_path / "packed"), discover(path)):
        assert catalog.open_data(1).read(np.arange(2))[:, 0].tolist() == [1, 2]
        assert catalog.num_samples == 2


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_word_of_white_space_is_a_gap_packed_or_not(
    write: Write, tmp_path: Path, name: str
) -> None:
    columns = {"a": [1, 2, 3], "y": ["cat", " ", "dog"]}
    is_text = name.endswith(".csv")
    path = write("a,y\n1,cat\n2, \n3,dog\n" if is_text else columns, name)
    with pytest.raises(DataError, match="first in row 2 of 'y'"):
        pack(path, tmp_path / "packed")
    with pytest.raises(DataError, match="a word in every row of column 'y', but row 2 is empty"):
        discover(path)


def test_labels_that_are_neither_numbers_nor_texts_are_refused(write: Write) -> None:
    columns = {"a": [1], "y": [date(2000, 1, 1)]}
    with pytest.raises(DataError, match=r"numbers or texts in 'y' of .*, but got date32"):
        Table(write(columns, "t.parquet")).check()


def test_too_many_classes_are_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leyden.shards.sources.columns.MAX_CLASSES", 5)
    monkeypatch.setattr(tables_module, "MAX_CLASSES", 5)
    monkeypatch.setattr(tables_module, "_LOOK_ROWS", 2)
    path = write({"a": range(20), "y": [f"name {i}" for i in range(20)]}, "t.parquet")
    with pytest.raises(DataError, match=r"at most 5 classes in 'y' of .*, but got more"):
        Table(path).check()
    assert len(Table(path).class_names or ()) == 6  # more are not kept


@pytest.mark.parametrize(
    ("content", "name", "arguments", "message"),
    [
        ("a,b\n", "t.csv", {}, "t.csv"),
        ("y\n1\n", "t.csv", {}, "Expected columns of inputs in .*, but got y only"),
        ("a,a\n1,2\n", "t.csv", {}, "Expected each column name once in .*, but got a, a"),
        ("a,y,label\n1,2,3\n", "t.csv", {}, "one column of labels in .*, but got y, label. Pass"),
        ("a,b\n1,2\n", "t.csv", {"label_column": "bb"}, "but got 'bb'. Did you mean 'b'"),
        ("a,b\n1,2,3\n", "t.csv", {}, "Expected a table, but cannot read .*t.csv: .*2 columns"),
        ("no table", "t.parquet", {}, "t.parquet"),
    ],
)
def test_what_is_no_table_is_refused(
    write: Write, content: str, name: str, arguments: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Table(write(content, name), **arguments).check()


def test_a_table_without_rows_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match=r"at least one row in .*, but got none"):
        Table(write({"a": pa.array([], pa.int8())}, "t.parquet")).check()


def test_a_path_that_is_no_table_is_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match=r"a table, but there is no file '.*/x.csv'"):
        Table(tmp_path / "x.csv")
    with pytest.raises(FormatError, match=r"a table \(.csv .tsv .parquet\), but got 't.xls'"):
        Table(write("", "t.xls"))


def test_a_packed_table_is_found_with_its_classes(write: Write, tmp_path: Path) -> None:
    lines = [f"{i},{'odd' if i % 2 else 'even'}" for i in range(10)]
    path = write("a,label\n" + "\n".join(lines) + "\n")
    catalog = pack(path, tmp_path / "d", rows_per_shard=4, shuffle_seed=0)
    order = np.random.default_rng(0).permutation(10)
    assert catalog.lengths == {1: 4, 2: 4, 3: 2}
    assert catalog.open_data(1).read(np.arange(4))[:, 0].tolist() == order[:4].tolist()
    assert catalog.read_labels(1).tolist() == (order[:4] % 2).tolist()
    assert read_manifest(tmp_path / "d").class_names == ("even", "odd")


def test_another_table_is_another_source(write: Write) -> None:
    first = Table(write("a\n1\n")).describe()
    assert Table(write("a\n1\n")).describe() == first
    assert Table(write("a\n2\n")).describe() != first


def test_columns_are_left_out_by_name(write: Write) -> None:
    path = write("id,a,born,y,b\nx1,1,2000-01-01,0,2\nx2,3,2001-01-01,1,4\n")
    table = Table(path, drop=["id", "born"])
    table.check()
    (block,) = table.blocks(0, 9)
    assert block.inputs.tolist() == [[1, 2], [3, 4]]
    assert block.labels is not None
    assert block.labels.tolist() == [0, 1]
    assert table.column_names == ("a", "b")
    assert table.describe() != Table(path).describe()
    assert Table(path, drop=["y", "id", "born"]).class_names is None


def test_columns_to_leave_out_must_be_there(write: Write) -> None:
    path = write("id,a,y\n1,2,3\n")
    with pytest.raises(DataError, match=r"in `drop`, but got 'idd'. Did you mean 'id'"):
        Table(path, drop=["idd"])
    with pytest.raises(DataError, match="none of `drop`, but got 'y' for both"):
        Table(path, label_column="y", drop=["y"])
    with pytest.raises(DataError, match="columns of inputs"):
        Table(path, drop=["id", "a"])

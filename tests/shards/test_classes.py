"""Words as labels of numbered tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from leyden.errors import DataError, ShardError
from leyden.shards import Catalog, discover

SETS = {1: ["dog", "cat", "dog"], 2: ["cat", "cat"], 10: ["emu", "dog"]}


def write(folder: Path, sets: Mapping[int, Sequence[object]], extension: str = ".csv") -> Path:
    """Write a table with labels for each set."""
    folder.mkdir(parents=True)
    for number, labels in sets.items():
        table = pa.table({"x": np.arange(len(labels)) / 4, "label": list(labels)})
        path = folder / f"part__{number}{extension}"
        if extension == ".parquet":
            parquet.write_table(table, path)
        else:
            options = arrow_csv.WriteOptions(delimiter="\t" if extension == ".tsv" else ",")
            arrow_csv.write_csv(table, path, options)
    return folder


def read_all(catalog: Catalog) -> dict[int, list[int]]:
    return {number: catalog.read_labels(number).tolist() for number in catalog.set_numbers}


@pytest.mark.parametrize("extension", [".csv", ".tsv", ".parquet"])
def test_words_become_classes_in_alphabetical_order(tmp_path: Path, extension: str) -> None:
    catalog = discover(write(tmp_path / "pets", SETS, extension))
    assert catalog.class_names == ("cat", "dog", "emu")
    assert (catalog.num_classes, str(catalog.label_dtype)) == (3, "int64")
    assert read_all(catalog) == {1: [1, 0, 1], 2: [0, 0], 10: [2, 1]}
    assert "3 classes: cat, dog, emu" in catalog.describe()


def test_words_of_a_file_of_their_own_and_of_parts_of_a_table(tmp_path: Path) -> None:
    folder = write(tmp_path / "pets", {1: [0.5, 1.5]})
    table = (folder / "part__1.csv").read_text().replace("label", "height")
    (folder / "part__1.csv").write_text(table)
    (folder / "labels.csv").write_text("kind\n ox \nant\n")
    assert read_all(discover(folder)) == {1: [1, 0]}
    whole = write(tmp_path / "whole", {1: ["b", "a", "b", "c", "a"]}) / "part__1.csv"
    cut = discover(whole, rows_per_set=2)
    assert read_all(cut) == {1: [1, 0], 2: [1, 2], 3: [0]}


def test_a_part_keeps_the_classes_of_the_whole(tmp_path: Path) -> None:
    catalog = discover(write(tmp_path / "pets", SETS)).select([2])
    assert (catalog.class_names, catalog.num_classes) == (("cat", "dog", "emu"), 3)
    assert read_all(catalog) == {2: [0, 0]}


def test_classes_are_numbered_as_elsewhere_on_request(tmp_path: Path) -> None:
    catalog = discover(write(tmp_path / "pets", {1: ["cat", "emu"]}))
    other = catalog.with_classes(["ant", "cat", "dog", "emu"])
    assert read_all(other) == {1: [1, 3]}
    assert other.fingerprint != catalog.fingerprint
    with pytest.raises(DataError, match=r"classes that were trained on, but got 'emu'. Known: cat"):
        catalog.with_classes(["cat"])


def test_numbers_are_labels_as_they_are(tmp_path: Path) -> None:
    catalog = discover(write(tmp_path / "pets", {1: [4, 2]}))
    assert catalog.class_names is None
    assert read_all(catalog.with_classes(["a", "b"])) == {1: [4, 2]}


def test_a_row_without_a_word_is_an_error(tmp_path: Path) -> None:
    folder = write(tmp_path / "pets", {1: ["cat", "", "dog"]})
    with pytest.raises(ShardError, match=r"a word in every row of column 'label', but some cells"):
        discover(folder)


def test_words_in_one_set_and_numbers_in_another_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"set 1: words \(\)(.|\n)*set 2: int64 \(\)"):
        discover(write(tmp_path / "pets", {1: ["cat", "dog"], 2: [0, 1]}))


def test_words_are_no_inputs(tmp_path: Path) -> None:
    folder = write(tmp_path / "pets", SETS)
    with pytest.raises(ShardError, match=r"numbers in column 'label', but got words"):
        discover(folder, inputs=["label"])

"""Words as labels of numbered tables."""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from leyden.data import AutoDataModule
from leyden.errors import DataError, ShardError
from leyden.shards import Catalog, discover, write_shards

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
    with pytest.raises(ShardError, match=r"a word in every row of column 'label', but row 2 is"):
        discover(folder)


def test_words_in_one_set_and_numbers_in_another_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"set 1: words \(\)(.|\n)*set 2: int64 \(\)"):
        discover(write(tmp_path / "pets", {1: ["cat", "dog"], 2: [0, 1]}))


def test_words_are_no_inputs(tmp_path: Path) -> None:
    folder = write(tmp_path / "pets", SETS)
    with pytest.raises(ShardError, match=r"numbers in 'label', but got words"):
        discover(folder, inputs=["label"])


ROWS = {number: np.zeros((len(words), 2), np.float32) for number, words in SETS.items()}
NUMBERED = {1: [1, 0, 1], 2: [0, 0], 10: [2, 1]}


def write_npz(folder: Path) -> None:
    write_shards(folder, ROWS, labels={n: np.array(words) for n, words in SETS.items()})


def write_bytes(folder: Path) -> None:
    write_shards(folder, ROWS)
    np.save(folder / "labels.npy", np.array([w.encode() for words in SETS.values() for w in words]))


def write_folder(folder: Path) -> None:
    write_shards(folder, ROWS)
    write_shards(folder / "labels", {n: np.array(words) for n, words in SETS.items()})


def write_inside(folder: Path) -> None:
    folder.mkdir()
    for number, words in SETS.items():
        np.savez(folder / f"part__{number}.npz", x=ROWS[number], y=np.array(words))


def write_h5(folder: Path) -> None:
    h5py = pytest.importorskip("h5py")
    write_shards(folder, ROWS)
    with h5py.File(folder / "labels.h5", "w") as file:
        file["1"], file["2"] = SETS[1], SETS[2]  # texts of any length
        file["10"] = np.array(SETS[10], "S5")


def write_compressed(folder: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    write_shards(folder, ROWS)
    (folder / "labels").mkdir()
    for number, words in SETS.items():
        stream = BytesIO()
        np.save(stream, np.array(words))
        path = folder / "labels" / f"{number}.npy.zst"
        path.write_bytes(zstandard.compress(stream.getvalue()))


@pytest.mark.parametrize(
    "write_all", [write_npz, write_bytes, write_folder, write_inside, write_h5, write_compressed]
)
def test_words_of_arrays_become_classes_too(
    tmp_path: Path, write_all: Callable[[Path], None]
) -> None:
    write_all(tmp_path / "pets")
    catalog = discover(tmp_path / "pets")
    assert catalog.class_names == ("cat", "dog", "emu")
    assert (catalog.num_classes, str(catalog.label_dtype)) == (3, "int64")
    assert read_all(catalog) == NUMBERED
    assert "3 classes: cat, dog, emu" in catalog.describe()
    assert discover(tmp_path / "pets").fingerprint == catalog.fingerprint


def test_words_stored_by_sets_become_classes(tmp_path: Path) -> None:
    write_shards(tmp_path / "pets", dict.fromkeys((1, 2), np.zeros((3, 2))))
    np.save(tmp_path / "pets" / "labels.npy", np.array([["b", "a", "b"], ["c", "a", " a"]]))
    assert read_all(discover(tmp_path / "pets")) == {1: [1, 0, 1], 2: [2, 0, 0]}


def test_batches_have_the_classes_of_words_in_every_phase(tmp_path: Path) -> None:
    write_npz(tmp_path / "pets")
    data = AutoDataModule(tmp_path / "pets", val=[2], batch_size=8, shuffle="none")
    assert (data.num_classes, data.class_names) == (3, ("cat", "dog", "emu"))
    train: Any = data.fetch("train", 0, 0)
    val: Any = data.fetch("val", 0, 0)
    assert train[1].tolist() == [1, 0, 1, 2, 1]
    assert val[1].tolist() == [0, 0]


def test_words_kept_as_python_objects_are_refused_with_the_reason(tmp_path: Path) -> None:
    write_shards(tmp_path / "pets", ROWS)
    labels = np.array([word for words in SETS.values() for word in words], object)
    np.save(tmp_path / "pets" / "labels.npy", labels, allow_pickle=True)
    problem = r"Python objects, which are not loaded because unpickling runs code.*\.astype\(str\)"
    with pytest.raises(ShardError, match=problem):
        discover(tmp_path / "pets")


@pytest.mark.parametrize("name", ["a__1.npy", "a__1.npz"])
def test_an_array_of_words_is_no_input(tmp_path: Path, name: str) -> None:
    save = np.savez if name.endswith("z") else np.save
    save(tmp_path / name, np.array(["a", "b"]))
    with pytest.raises(ShardError, match=r"Expected numbers.*, but got words, which only labels"):
        discover(tmp_path)

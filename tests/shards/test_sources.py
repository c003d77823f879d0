from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset
from typing_extensions import override

from leyden.errors import ConfigError, DataError, FormatError, MissingPathError, ShardError
from leyden.shards import ImageFolder, Table
from leyden.shards.sources import ArraySource, Block, Source, choose_source
from leyden.shards.sources.base import digest_files, digest_rows

ROW = torch.zeros(3)
ROWS = np.random.default_rng(0).normal(size=(10, 3))


def whole(source: Source) -> Block:
    return Block.join(list(source.blocks(0, 4)))


class Numbers(IterableDataset[Any]):
    """A stream with a length, as some have."""

    def __init__(self, items: list[object]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    @override
    def __iter__(self) -> Iterator[object]:
        return iter(self.items)


class Items(Dataset[Any]):
    def __init__(self, items: list[object]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    @override
    def __getitem__(self, index: int) -> object:
        return self.items[index]


# arrays


@pytest.mark.parametrize("inputs", [ROWS, torch.from_numpy(ROWS)], ids=["array", "tensor"])
def test_an_array_comes_in_blocks(inputs: Any) -> None:
    source = choose_source(inputs, torch.arange(10))
    lengths = [len(block) for block in source.blocks(1, 4)]
    assert lengths == [4, 4, 1]
    np.testing.assert_array_equal(whole(source).inputs, ROWS)
    np.testing.assert_array_equal(whole(source).labels, np.arange(10))
    assert (source.num_rows, source.class_names) == (10, None)


def test_a_tensor_that_asks_for_gradients_is_taken_as_numbers() -> None:
    assert whole(choose_source(torch.ones(3, requires_grad=True))).inputs.tolist() == [1, 1, 1]


def test_texts_become_classes_in_alphabetical_order() -> None:
    source = choose_source(ROWS[:3], ["dog", "cat", "dog"])
    assert source.class_names == ("cat", "dog")
    np.testing.assert_array_equal(whole(source).labels, [1, 0, 1])


def test_texts_have_no_white_space_around_them_and_are_not_empty() -> None:
    labels = ["cat", "cat ", "dog", " dog"]
    assert choose_source(ROWS[:4], labels).class_names == ("cat", "dog")
    with pytest.raises(DataError, match=r"a word in every row, but row 3 is empty\. Fill it, or"):
        choose_source(ROWS[:4], ["cat", "dog", " ", "cat"])


def test_an_array_on_disk_is_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", ROWS)
    np.save(tmp_path / "y.npy", np.arange(10))
    source = choose_source(str(tmp_path / "x.npy"), tmp_path / "y.npy")
    np.testing.assert_array_equal(whole(source).inputs, ROWS)
    np.testing.assert_array_equal(whole(source).labels, np.arange(10))
    assert source.describe() == choose_source(ROWS, np.arange(10)).describe()


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (np.zeros(()), None, r"rows along axis 0 of `source`, but got the shape \(\)"),
        (np.zeros((0, 3)), None, r"rows along axis 0 of `source`, but got the shape \(0, 3\)"),
        (np.array([None]), None, "numbers in `source`, but got Python objects"),
        (np.zeros(2, np.longdouble), None, r"PyTorch has in `source`, .*\.astype\('float64'\)"),
        (np.ma.masked_equal([1, 2, 2], 2), None, "everywhere in an array, but got 2 masked. Pass"),
        (np.array(["a"]), None, "numbers in `source`, but got <U1. Encode them first"),
        (ROWS, np.zeros(9), r"one label for every row.*\nsource: \(10, 3\)\nlabels: \(9,\)"),
        (ROWS, 1, r"one label for every row.*\nsource: \(10, 3\)\nlabels: \(\)"),
        (ROWS, [[1], [1, 2]] * 5, "an array of one dtype that NumPy has, but got"),
        (ROWS, [["a"]] * 10, "numbers in `labels`, but got <U1"),
        (torch.zeros(3, dtype=torch.bfloat16), None, r"that NumPy has.*with .float\(\)"),
    ],
)
def test_arrays_that_cannot_be_packed_are_refused(inputs: Any, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ArraySource(inputs, labels)


def test_an_array_is_known_again_by_its_content() -> None:
    changed = ROWS.copy()
    changed[5, 1] += 1e-9
    assert digest_rows(ROWS) == digest_rows(ROWS.copy())
    assert digest_rows(changed) != digest_rows(ROWS)
    assert digest_rows(np.zeros((3, 0))) == digest_rows(np.zeros((0, 3)))


def test_of_much_a_part_is_digested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leyden.shards.sources.base._SAMPLED", 48)
    changed = ROWS.copy()
    changed[5] += 1
    assert digest_rows(changed) == digest_rows(ROWS)  # rows 0 and 9 are looked at
    changed[9] += 1
    assert digest_rows(changed) != digest_rows(ROWS)
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(bytes(24))
    before = digest_files(paths, tmp_path)
    paths[1].write_bytes(bytes(23) + b"x")
    assert digest_files(paths, tmp_path) == before
    paths[1].write_bytes(bytes(25))
    assert digest_files(paths, tmp_path) != before


# datasets


def test_a_dataset_gives_inputs_and_labels() -> None:
    dataset = TensorDataset(torch.from_numpy(ROWS), torch.arange(10))
    source = choose_source(Subset(dataset, [7, 1, 2]))
    block = whole(source)
    np.testing.assert_array_equal(block.inputs, ROWS[[7, 1, 2]])
    assert block.labels is not None
    assert block.labels.tolist() == [7, 1, 2]
    assert source.num_rows == 3
    assert source.describe()["type"] == "torch.utils.data.dataset.Subset"


@pytest.mark.parametrize(
    "dataset",
    [
        TensorDataset(torch.from_numpy(ROWS)),
        Items(list(ROWS)),
        Numbers(list(ROWS)),
        list(ROWS),
        (row for row in ROWS),
    ],
    ids=["tensors", "items", "stream", "list", "generator"],
)
def test_a_dataset_without_labels_gives_inputs(dataset: object) -> None:
    source = choose_source(dataset)
    source.describe()
    block = whole(source)
    np.testing.assert_array_equal(block.inputs, ROWS)
    assert block.labels is None


@pytest.mark.parametrize("kind", [Items, Numbers])
@pytest.mark.parametrize(
    ("item", "inputs", "labels"),
    [
        ([torch.tensor([1, 2]), 3], [1, 2], 3),
        ([torch.tensor([1, 2]), torch.tensor([3, 4])], [1, 2], [3, 4]),
        ([np.array([1, 2]), np.int64(3)], [1, 2], 3),
        (([1, 2], 3), [1, 2], 3),
        (((1, 2), 3), [1, 2], 3),
        ([1, 2], [1, 2], None),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]], None),
    ],
)
def test_two_of_which_one_is_an_array_are_inputs_and_labels(
    kind: Any, item: Any, inputs: object, labels: object
) -> None:
    block = whole(choose_source(kind([item] * 3)))
    assert block.inputs.tolist() == [inputs] * 3
    assert (None if block.labels is None else block.labels.tolist()[0]) == labels


def test_a_loader_of_batches_is_refused_with_the_way_out() -> None:
    loader = DataLoader(TensorDataset(torch.zeros(4, 2)), batch_size=2)
    expected = r"give rows, but got a DataLoader, which gives batches\. Pass its `\.dataset`\."
    with pytest.raises(ConfigError, match=expected):
        choose_source(loader)
    assert len(whole(choose_source(loader.dataset))) == 4


def test_a_stream_begins_where_it_is_asked_to() -> None:
    source = choose_source(Numbers([(np.float32(i), i) for i in range(10)]))
    blocks = list(source.blocks(7, 2))
    assert [block.inputs.tolist() for block in blocks] == [[7, 8], [9]]
    assert source.num_rows is None


@pytest.mark.parametrize("kind", [Items, Numbers])
@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "at least one row in the dataset, but got none"),
        ([(1, 2, 3)], r"Expected x or \(x, y\) in row 0, but got a tuple of 3"),
        ([{"x": 1}], r"Expected x or \(x, y\) in row 0, but got a dict\. Wrap the dataset in one"),
        ([[ROW, ROW, 1]], r"Expected x or \(x, y\) in row 0, but got a list of 3\. Wrap the data"),
        ([((ROW, ROW), 1)], "in row 0, but got a tuple in it. Wrap the dataset in one that"),
        ([[[ROW, ROW], 1]], "in row 0, but got a list in it. Wrap the dataset in one that"),
        ([({"x": ROW}, 1)], "in row 0, but got a dict in it. Wrap the dataset in one that"),
        ([object()], "Expected numbers in row 0, but got Python objects"),
        ([(1.0, "cat")], "Expected numbers in row 0, but got <U3. Encode them first"),
        ([Image.new("L", (2, 2))], "Expected numbers in row 0, but got an image. Give the dataset"),
        ([0, 1, "a"], "Expected numbers in row 2, but got <U1"),
        (
            [(np.zeros(3), 1), (np.zeros(4), 1)],
            r"but they differ.\nrow 0: x float64 \(3,\), y int64 \(\)\nrow 1: x float64 \(4,\)",
        ),
        ([(1, 2), (1, 2.0)], r"row 0: x int64 \(\), y int64 \(\)\nrow 1: .*y float64 \(\)"),
        ([(1, 2), 3], r"row 0: x int64 \(\), y int64 \(\)\nrow 1: x int64 \(\)$"),
    ],
)
def test_rows_that_cannot_be_packed_are_refused(kind: Any, items: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        whole(choose_source(kind(items)))


def test_an_error_inside_a_dataset_says_at_which_row() -> None:
    class Broken(Items):
        @override
        def __getitem__(self, index: int) -> object:
            if index == 2:
                raise RuntimeError("cable loose")
            return index

    source = choose_source(Broken([1, 2, 3]))
    with pytest.raises(RuntimeError, match="cable loose") as caught:
        whole(source)
    (note,) = caught.value.__notes__
    assert note.startswith("while reading row 2 of ")
    assert note.endswith("Broken")


def test_a_dataset_is_known_again_by_some_of_its_rows() -> None:
    first, second = choose_source(list(ROWS)).describe(), choose_source(list(ROWS + 1)).describe()
    assert first["digest"] != second["digest"]
    assert choose_source(iter(ROWS)).describe() != choose_source(iter(ROWS + 1)).describe()


# what is meant


@pytest.mark.parametrize("source", [3, None, {"x": ROWS}, ROWS.sum])
def test_what_has_no_rows_is_refused(source: object) -> None:
    with pytest.raises(ConfigError, match="`source` to be an array, a tensor, a path or a dataset"):
        choose_source(source)


def test_labels_belong_to_arrays(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`labels` for an array only, but `source` is .*list"):
        choose_source([1.0, 2.0], [0, 1])


def test_a_source_is_taken_as_it_is() -> None:
    source = ArraySource(ROWS)
    assert choose_source(source) is source


def test_paths_are_told_apart_by_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    Image.new("RGB", (2, 3)).save(tmp_path / "photos" / "cat" / "1.png")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "t.txt").touch()
    assert choose_source(tmp_path / "photos") == ImageFolder(tmp_path / "photos")
    assert choose_source(str(tmp_path / "t.csv")) == Table(tmp_path / "t.csv")
    with pytest.raises(FormatError, match=r"a known format, but got 't.txt'.*Known: .csv, .npy"):
        choose_source(tmp_path / "t.txt")
    with pytest.raises(MissingPathError, match=r"exist, but got '.*/photo'. Did you mean 'photos'"):
        choose_source(tmp_path / "photo")
    with pytest.raises(MissingPathError, match=r"an array, but there is no file '.*/x.npy'"):
        choose_source(tmp_path / "x.npy")
    (tmp_path / "x.npy").write_bytes(b"no array")
    with pytest.raises(ShardError, match="npy header"):
        choose_source(tmp_path / "x.npy")


class Frame:
    """What a data frame of numbers is to NumPy."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return ROWS if dtype is None else ROWS.astype(dtype)

    def __len__(self) -> int:
        return len(ROWS)

    def __getitem__(self, name: object) -> object:
        raise KeyError(name)


def test_what_numpy_takes_for_an_array_is_one() -> None:
    source = choose_source(Frame(), np.array(["b", "a"] * 5, dtype=object))
    np.testing.assert_array_equal(whole(source).inputs, ROWS)
    assert source.class_names == ("a", "b")
    with pytest.raises(DataError, match="Expected numbers in `labels`, but got Python objects"):
        choose_source(ROWS[:2], np.array(["b", None], dtype=object))

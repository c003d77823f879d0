from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from leyden.data import AutoDataModule
from leyden.errors import ConfigError, LeydenError, MissingPathError
from leyden.experiment.sources import ChosenRows, Shards, find_data, indexed
from leyden.shards import Source, Table, write_shards
from leyden.types import Array


def first_rows(found: object) -> Array:
    assert isinstance(found, Source)
    return next(iter(found.blocks(0, 4))).inputs


def test_digits_are_images_and_their_classes() -> None:
    rows = indexed(_source({"type": "digits"}))
    block = rows.read(np.arange(2))
    assert (rows.num_rows, block.inputs.shape, block.inputs.max()) == (1797, (2, 1, 8, 8), 1.0)
    assert block.labels is not None
    assert block.labels.tolist() == [0, 1]


def _source(dataset: object) -> Source:
    found = find_data(dataset)
    assert isinstance(found, Source)
    return found


def test_class_folders_are_told_from_shards(photos: Path, tmp_path: Path) -> None:
    write_shards(tmp_path / "shards", {1: np.zeros((4, 2))})
    write_shards(tmp_path / "parts" / "train", {1: np.zeros((4, 2))})
    assert _source(photos).class_names == ("blue", "red")
    assert find_data(tmp_path / "shards") == Shards(tmp_path / "shards")
    assert find_data(str(tmp_path / "parts")) == Shards(tmp_path / "parts")


def test_images_have_the_size_and_the_colours_that_are_told(photos: Path) -> None:
    told = {"path": str(photos), "size": [8, 6], "color_mode": "grayscale"}
    assert first_rows(_source({"type": "images"} | told)).shape == (4, 1, 8, 6)
    told = {"type": "directory_image_classification", "path": str(photos)}
    assert first_rows(_source(told)).shape == (4, 3, 256, 256)


def test_tables_and_arrays_are_found_by_their_path(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("a,b,side\n1,2,left\n3,4,right\n")
    np.save(tmp_path / "some.npy", np.ones((3, 2)))
    assert first_rows(_source(tmp_path / "some.npy")).tolist() == [[1, 1]] * 3
    table = _source({"type": "table", "path": tmp_path / "some.csv", "label_column": "side"})
    assert isinstance(table, Table)
    assert table.class_names == ("left", "right")


def test_arrays_tensors_and_datasets_are_rows() -> None:
    inputs, labels = np.ones((3, 2)), [0, 1, 0]
    several = [
        (inputs, labels),
        (torch.from_numpy(inputs), torch.tensor(labels)),
        TensorDataset(torch.from_numpy(inputs), torch.tensor(labels)),
        {"type": "arrays", "inputs": inputs.tolist(), "labels": labels},
        {"type": "torch.utils.data.TensorDataset", "none": 1},
    ]
    for dataset in several[:-1]:
        block = indexed(_source(dataset)).read(np.arange(3))
        assert block.inputs.tolist() == inputs.tolist()
        assert block.labels is not None
        assert block.labels.tolist() == labels
    with pytest.raises(ConfigError, match=r"arguments that torch.utils.data.TensorDataset takes"):
        find_data(several[-1])
    with pytest.raises(ConfigError, match=r"to be \(inputs, labels\), but got a tuple of 3"):
        find_data((inputs, labels, labels))


def test_what_an_import_path_makes_is_taken_as_it_is(tmp_path: Path) -> None:
    rows = indexed(_source({"entry_point": "sklearn.datasets.load_iris", "return_X_y": True}))
    assert rows.num_rows == 150
    made = find_data({"type": "leyden.AutoDataModule", "path": str(tmp_path)})
    assert isinstance(made, AutoDataModule)


def test_a_type_that_is_not_known_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"`dataset` .* but got 'digit'. Did you mean 'digits'?"):
        find_data({"type": "digit"})


def test_no_data_is_told_so() -> None:
    with pytest.raises(ConfigError, match="Expected data to train and evaluate on, but none is"):
        find_data(None)
    with pytest.raises(MissingPathError, match="Expected `dataset` to exist, but got 'nowhere'"):
        find_data("nowhere")
    with pytest.raises(LeydenError, match=r"but got builtins[.]object"):
        find_data(object())


def test_rows_are_chosen_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(6)))
    rows = indexed(_source(tmp_path / "some.csv"))  # which has an order of its own
    chosen = ChosenRows(rows, np.array([5, 0, 3]), {"seed": 1})
    block = chosen.read(np.array([0, 2]))
    assert block.inputs.tolist() == [[5.0], [3.0]]
    assert chosen.num_rows == 3
    assert chosen.describe()["chosen_by"] == {"seed": 1}

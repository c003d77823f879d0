import torch
from torch import Tensor

from leyden.data.assembly import Block
from leyden.data.cut import WindowCut
from leyden.data.weights import RowWeights
from leyden.data.windows import TimeWindows

SERIES = torch.arange(2 * 10 * 3).reshape(2, 10, 3)
LABELS = torch.tensor([0, 1])


def tensor(value: object) -> Tensor:
    assert isinstance(value, Tensor)
    return value


def test_windows_are_stretches_of_each_row_and_labels_those_of_the_row() -> None:
    cut = WindowCut(TimeWindows(4, stride=3))
    for index, begin in enumerate((0, 3, 6)):
        window = cut(Block(SERIES, LABELS, None), 0, index)
        assert tensor(window.inputs).tolist() == SERIES[:, begin : begin + 4].tolist()
        assert (window.labels, window.weights) == (LABELS, None)


def test_windows_are_views() -> None:
    window = WindowCut(TimeWindows(4))(Block(SERIES, None, None), 0, 1)
    assert tensor(window.inputs).untyped_storage().data_ptr() == SERIES.untyped_storage().data_ptr()
    assert window.labels is None


def test_epochs_have_their_starts() -> None:
    cut = WindowCut(TimeWindows(4, starts=(0, 5)))
    begins = [tensor(cut(Block(SERIES, None, None), epoch, 0).inputs)[0, 0, 0] for epoch in (2, 3)]
    assert begins == [0, 5 * 3]


def test_labels_that_are_the_inputs_are_cut_alike() -> None:
    window = WindowCut(TimeWindows(4), cuts_labels=True)(Block(SERIES, -SERIES, None), 0, 1)
    assert tensor(window.labels).tolist() == (-SERIES[:, 4:8]).tolist()


def test_of_several_inputs_those_as_long_as_the_first_are_cut() -> None:
    inputs = {
        "a": SERIES,
        "b": torch.arange(20).reshape(2, 10),
        "c": torch.arange(8).reshape(2, 4),
        "d": LABELS,
    }
    found = WindowCut(TimeWindows(4))(Block(inputs, LABELS, None), 0, 1).inputs
    assert isinstance(found, dict)
    assert {name: array.tolist() for name, array in found.items()} == {
        "a": SERIES[:, 4:8].tolist(),
        "b": [[4, 5, 6, 7], [14, 15, 16, 17]],
        "c": inputs["c"].tolist(),
        "d": LABELS.tolist(),
    }


def test_weights_of_rows_are_multiplied_with_those_of_windows() -> None:
    """Window by window: labels, and what the documents of DeepTrain have for them."""
    weights = RowWeights({0: 1, 1: 5}, (0.5, 1.5))
    cut = WindowCut(TimeWindows(3), weights)
    labels = torch.tensor([[0, 0, 1], [0, 0, 1], [0, 1, 1]])
    series = torch.zeros(3, 9, 1)
    found = [
        cut(Block(series, each, weights.of(each.numpy())), 0, index).weights
        for index, each in enumerate(labels)
    ]
    assert [tensor(each).tolist() for each in found] == [
        [0.5, 0.5, 2.5],
        [1, 1, 5],
        [1.5, 7.5, 7.5],
    ]

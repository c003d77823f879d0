from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from leyden.data import AutoDataModule
from leyden.data.weights import RowWeights
from leyden.errors import ConfigError, DataError
from leyden.shards import Catalog, discover, write_shards
from leyden.types import Array


def catalog_of(folder: Path, labels: Array) -> Catalog:
    """Write labelled rows as two sets, one of them a row."""
    inputs = {1: np.zeros((len(labels) - 1, 2)), 2: np.zeros((1, 2))}
    write_shards(folder, inputs, labels={1: labels[:-1], 2: labels[-1:]})
    return discover(folder)


@pytest.mark.parametrize("weights", [{0: 4, 1: 1}, [4, 1], (4.0, 1.0), {0: 4}])
def test_rows_weigh_what_their_class_does(weights: Any) -> None:
    found = RowWeights(weights).of(np.array([1, 1, 0, 1]))
    assert found.dtype == torch.float32
    assert found.tolist() == [1, 1, 4, 1]


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32, np.bool_])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_classes_may_be_of_any_dtype(dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    labels = np.array([1, 1, 0, 1]).astype(dtype).reshape(shape)
    assert RowWeights({0: 4}).of(labels).tolist() == [1, 1, 4, 1]


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_classes_may_be_one_hot(dtype: type[np.generic]) -> None:
    labels = np.eye(3, dtype=dtype)[[2, 0, 1, 2]]
    assert RowWeights({2: 5, 0: 0.5}).of(labels).tolist() == [5, 0.5, 1, 5]


def test_classes_that_are_left_out_weigh_one() -> None:
    assert RowWeights({2: 5}).of(np.array([0, 2, 3, 99])).tolist() == [1, 5, 1, 1]


@pytest.mark.parametrize(
    ("pair", "count", "expected"),
    [
        ((0.5, 1.5), 3, [0.5, 1.0, 1.5]),
        ([1, 0], 5, [1, 0.75, 0.5, 0.25, 0]),
        ((0.5, 1.5), 2, [0.5, 1.5]),
        ((0.5, 1.5), 1, [1]),
        (None, 2, [1, 1]),
    ],
)
def test_windows_weigh_what_the_line_from_first_to_last_says(
    pair: Any, count: int, expected: list[float]
) -> None:
    weights = RowWeights(None, pair)
    assert [weights.of_window(index, count) for index in range(count)] == expected
    assert weights.of(np.zeros(2)).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("arguments", "has_weights"),
    [
        ((None, None), False),
        (({0: 1.0}, None), True),
        ((None, (1, 1)), True),
        (("balanced",), True),
    ],
)
def test_without_any_there_are_none(arguments: tuple[Any, ...], has_weights: bool) -> None:
    assert bool(RowWeights(*arguments)) is has_weights


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=40), st.booleans())
def test_balanced_is_what_scikit_learn_calls_so(
    tmp_path_factory: pytest.TempPathFactory, labels: list[int], one_hot: bool
) -> None:
    classes = np.array(labels)
    weights = RowWeights("balanced")
    given_labels = np.eye(6, dtype=np.int64)[classes] if one_hot else classes
    weights.fit(catalog_of(tmp_path_factory.mktemp("balanced"), given_labels))
    present = np.unique(classes)
    expected = compute_class_weight("balanced", classes=present, y=classes)
    found = weights.of(np.eye(6)[present] if one_hot else present)
    assert found.numpy() == pytest.approx(expected, rel=1e-6)


def test_balanced_classes_that_are_not_trained_on_weigh_one(tmp_path: Path) -> None:
    weights = RowWeights("balanced")
    weights.fit(catalog_of(tmp_path, np.array([0, 2, 2, 2])))
    assert weights.of(np.array([0, 1, 2, 7])).tolist() == pytest.approx([2, 1, 2 / 3, 1])


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0.5, 1, 0]),
        np.array([np.nan, 1, 0]),
        np.array([0, -1, 1]),
        np.zeros((3, 2, 2), np.int64),
    ],
)
@pytest.mark.parametrize("weights", [{1: 2.0}, "balanced"])
def test_labels_that_are_no_classes_are_refused(
    tmp_path: Path, labels: Array, weights: Any
) -> None:
    catalog = catalog_of(tmp_path, labels)
    problem = rf"labels that are classes, for `class_weights`, but got {labels.dtype} of shape \("
    with pytest.raises(DataError, match=f"Expected {problem}"):
        RowWeights(weights).fit(catalog)


def test_targets_of_several_numbers_are_no_classes(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, np.array([[0.2, 3.5], [1.0, 0.0], [7.0, 2.0]]))
    with pytest.raises(DataError, match="Expected labels that are classes, for `class_weights`"):
        RowWeights({1: 2.0}).fit(catalog)


def test_data_without_labels_has_no_classes(write: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match=r"Expected labels for .*d, but none were found"):
        AutoDataModule(write({1: 3}), class_weights="balanced").setup("fit")


@pytest.mark.parametrize("weights", [{7: 2.0}, {0: 1, 3: 1}, [1, 1, 1, 1]])
def test_weights_of_classes_that_do_not_exist_are_refused(tmp_path: Path, weights: Any) -> None:
    problem = "Expected `class_weights` for classes 0 to 2, but got one for [37]. Leave it out"
    with pytest.raises(ConfigError, match=problem):
        RowWeights(weights).fit(catalog_of(tmp_path, np.array([0, 2, 1])))


def test_classes_of_one_hot_labels_exist_even_without_a_row(tmp_path: Path) -> None:
    weights = RowWeights({2: 5.0})
    weights.fit(catalog_of(tmp_path, np.eye(3, dtype=np.int64)[[0, 1, 0]]))
    assert weights.of(np.eye(3)).tolist() == [1, 1, 5]


@pytest.mark.parametrize(
    ("weights", "shown"),
    [
        ("balancd", "'balancd'"),
        ({"0": 1.0}, "{'0': 1.0}"),
        ({-1: 1.0}, "{-1: 1.0}"),
        ({0: -1.0}, "{0: -1.0}"),
        ({0: float("nan")}, "{0: nan}"),
        ({True: 1.0}, "{True: 1.0}"),
        ([1, "2"], r"\[1, '2'\]"),
    ],
)
def test_class_weights_that_are_none_are_refused(weights: Any, shown: str) -> None:
    problem = f"Expected `class_weights` to be weights by class, or 'balanced', but got {shown}"
    with pytest.raises(ConfigError, match=problem):
        RowWeights(weights)


@pytest.mark.parametrize("weights", [{}, []])
def test_where_all_classes_are_left_out_all_weigh_one(weights: Any) -> None:
    assert RowWeights(weights).of(np.array([0, 1])).tolist() == [1, 1]


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_class_weights_may_be_an_array(kind: Callable[..., Any]) -> None:
    assert RowWeights(kind([4.0, 1.0])).of(np.array([0, 1])).tolist() == [4, 1]


@pytest.mark.parametrize("pair", [(1,), (1, 2, 3), (1, -1), ("a", "b"), 2.0, (1, float("inf"))])
def test_window_weights_that_are_no_pair_are_refused(pair: Any) -> None:
    problem = "Expected `window_weights` to be the weights of the first and the last window, but"
    with pytest.raises(ConfigError, match=problem):
        RowWeights(None, pair)


def test_only_training_batches_have_weights(write: Callable[..., Path]) -> None:
    folder = write({1: 5, 2: 3, 3: 4}, labels=True)  # labels are 10 times the row
    data = AutoDataModule(folder, val=[2], test=[3], class_weights={10: 5.0, 40: 0.5}, batch_size=9)
    batches: list[Any] = list(data.train_dataloader())
    ((_, labels, weights),) = batches
    assert isinstance(weights, Tensor)
    worth = {10: 5.0, 40: 0.5}
    assert weights.tolist() == [worth.get(label, 1.0) for label in labels.tolist()]
    fetched: Any = data.fetch("train", 0, 0)
    assert fetched[2].tolist() == weights.tolist()
    for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        assert {len(batch) for batch in loader} == {2}
    assert {len(data.fetch(phase, 0, 0)) for phase in ("val", "test", "predict")} == {2}


@pytest.mark.parametrize("weights", [RowWeights({0: 4}), RowWeights(None, (1, 2))])
def test_weights_are_those_of_the_cpu_whatever_torch_makes_by_default(weights: RowWeights) -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            found = weights.of(np.array([0, 0]))
    finally:
        torch.set_default_dtype(before)
    assert (found.dtype, found.device.type) == (torch.float32, "cpu")

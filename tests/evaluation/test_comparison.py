"""Two evaluations row by row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from leyden.errors import ConfigError, DataError
from leyden.evaluation import Evaluation, compare

Store = Callable[..., Evaluation]
ROWS = {"set_number": [1, 1, 2, 2], "row": [0, 1, 0, 1], "target": [0, 1, 1, 0]}


def two_class(ones: list[float]) -> dict[str, Any]:
    scores = np.array(ones)
    both = np.stack([1 - scores, scores], 1)
    return {**ROWS, "classes": (scores > 0.5).astype(int), "probabilities": both}


def test_rows_that_got_better_and_worse_are_told_by_how_much(store: Store) -> None:
    before, after = store(two_class([0.4, 0.4, 0.9, 0.5])), store(two_class([0.1, 0.7, 0.3, 0.5]))
    found = compare(before, after)
    assert (found.by, found.higher_is_better) == ("confidence", True)
    assert (found.num_better, found.num_worse) == (2, 1)
    assert found.rows["change"].to_pylist() == pytest.approx([0.3, 0.3, -0.6, 0.0])
    assert found.mean_change == pytest.approx(0.0)
    assert found.better["row"].to_pylist() == [0, 1]
    (worse,) = found.worse.to_pylist()
    assert worse == {
        "set_number": 2,
        "row": 0,
        "target": 1,
        "before_prediction": 1,
        "after_prediction": 0,
        "before": 0.9,
        "after": pytest.approx(0.3),
        "change": pytest.approx(-0.6),
    }


def test_sets_are_summed_up_the_worst_first(store: Store) -> None:
    found = compare(store(two_class([0.4, 0.4, 0.9, 0.5])), store(two_class([0.1, 0.7, 0.3, 0.5])))
    names = ("set_number", "num_rows", "num_better", "num_worse", "change")
    assert found.sets.drop_columns(["before", "after"]).to_pylist() == [
        dict(zip(names, (2, 2, 0, 1, pytest.approx(-0.3)), strict=True)),
        dict(zip(names, (1, 2, 2, 0, pytest.approx(0.3)), strict=True)),
    ]


@pytest.mark.parametrize(
    ("by", "before", "after", "change"),
    [
        ("correct", 0.5, 0.75, 0.25),
        ("log_loss", None, None, None),
        ("loss", 1.0, 0.5, 0.5),
        (lambda records: records["loss"] * 2, 2.0, 1.0, -1.0),
    ],
)
def test_rows_are_compared_by_whatever_is_asked_for(
    store: Store, by: Any, before: float, after: float, change: float
) -> None:
    one = store({**two_class([0.9, 0.4, 0.9, 0.1]), "loss": [1.0] * 4})
    other = store({**two_class([0.1, 0.4, 0.9, 0.1]), "loss": [0.5] * 4})
    found = compare(one, other, by=by)
    if by == "log_loss":
        assert found.rows["before"].to_pylist()[0] == pytest.approx(-np.log(0.1))
        assert found.num_better == 1
        return
    means = {name: np.mean(found.rows[name].to_pylist()) for name in ("before", "after")}
    assert means == {"before": before, "after": after}
    assert found.mean_change == change


def test_several_labels_are_compared_by_how_many_are_right(store: Store) -> None:
    targets, scores = np.array([[0, 1], [1, 1]]), np.full((2, 2), 0.9)
    before = store({"target": targets, "classes": targets * 0, "probabilities": scores})
    after = store({"target": targets, "classes": targets, "probabilities": scores})
    found = compare(before, after)
    assert (found.by, found.rows["change"].to_pylist()) == ("correct", [0.5, 1.0])


def test_values_are_compared_by_their_errors(store: Store) -> None:
    columns = {**ROWS, "target": [0.0, 1.0, 2.0, 3.0]}
    before = store({**columns, "predictions": [0.5, 1.0, 2.0, 1.0]})
    after = store({**columns, "predictions": [0.0, 1.5, 2.0, 2.0]})
    found = compare(before, after)
    assert (found.by, found.higher_is_better) == ("absolute_error", False)
    assert found.rows["change"].to_pylist() == [0.5, -0.5, 0.0, 1.0]
    assert compare(before, after, by="squared_error").rows["change"].to_pylist() == [
        0.25,
        -0.25,
        0,
        3,
    ]


def test_which_way_is_better_may_be_told(store: Store) -> None:
    one, other = store({**ROWS, "cost": [1.0] * 4}), store({**ROWS, "cost": [2.0] * 4})
    assert compare(one, other, by="cost").num_better == 4
    assert compare(one, other, by="cost", higher_is_better=False).num_worse == 4


@pytest.mark.parametrize("name", ["mae", "loss", "cross_entropy", "squared_error_of_mine"])
def test_less_of_an_error_is_better(store: Store, name: str) -> None:
    one, other = store({**ROWS, name: [1.0] * 4}), store({**ROWS, name: [2.0] * 4})
    assert compare(one, other, by=name).num_worse == 4


def test_rows_are_matched_whatever_their_order(store: Store) -> None:
    before = store({"set_number": [1, 1, 2], "row": [0, 5, 0], "loss": [0.1, 0.2, 0.3]})
    after = store({"set_number": [3, 2, 1], "row": [0, 0, 5], "loss": [9.0, 0.1, 0.4]})
    found = compare(before, after, by="loss")
    assert found.rows.select(["set_number", "row"]).to_pylist() == [
        {"set_number": 1, "row": 5},
        {"set_number": 2, "row": 0},
    ]
    assert found.rows["change"].to_pylist() == pytest.approx([-0.2, 0.2])
    assert (found.num_only_before, found.num_only_after) == (1, 1)


def test_evaluations_that_cannot_be_compared_are_refused(store: Store) -> None:
    good = store({**ROWS, "loss": [0.1] * 4})
    with pytest.raises(ConfigError, match=r"got 'los'. Did you mean 'loss'"):
        compare(good, good, by="los")
    with pytest.raises(
        ConfigError, match=r"one number for each row, but got float64 of shape \(4, 2\)"
    ):
        compare(good, good, by=lambda records: np.zeros((4, 2)))
    with pytest.raises(DataError, match="they have none in common"):
        compare(good, store({**ROWS, "row": [7, 8, 7, 8], "loss": [0.1] * 4}), by="loss")
    with pytest.raises(DataError, match="their targets differ"):
        compare(good, store({**ROWS, "target": [1] * 4, "loss": [0.1] * 4}), by="loss")
    with pytest.raises(DataError, match="there are rows twice"):
        compare(good, store({**ROWS, "row": [0] * 4, "loss": [0.1] * 4}), by="loss")
    bare = store({"loss": [0.1] * 4})
    with pytest.raises(ConfigError, match=r"Pass `by` with one of set_number, row, loss"):
        compare(bare, bare)

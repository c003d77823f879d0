from collections import namedtuple
from typing import Any, cast

import pytest

from leyden.lifecycle import Results, copy_fetches, make_feeds

Named = namedtuple("Named", ["image", "mask"])


@pytest.mark.parametrize(
    ("batch", "feeds"),
    [
        ({"image": 1, "label": 2}, {"image": 1, "label": 2}),
        ((1, 2, 3, 4, 5), {"inputs": 1, "labels": 2, "weights": 3, "part_3": 4, "part_4": 5}),
        ([1, 2], {"inputs": 1, "labels": 2}),
        (Named(1, 2), {"image": 1, "mask": 2}),
        (7, {"inputs": 7}),
    ],
)
def test_parts_of_a_batch_have_names(batch: Any, feeds: dict[str, Any]) -> None:
    assert make_feeds(batch) == feeds
    assert make_feeds(batch) is not batch


def test_adding_to_a_copy_of_fetches_leaves_them_alone() -> None:
    fetches = {"a": {"b": len}}
    copy = copy_fetches(fetches)
    copy["a"]["c"] = max
    assert fetches == {"a": {"b": len}}


class Counted:
    """Functions that count how often they are called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def make(self, name: str, value: Any) -> Any:
        def compute() -> Any:
            self.calls.append(name)
            return value

        return compute


def make_results(counted: Counted) -> Results:
    log = {"scalars": {"loss/all": 0.5}, "images": ["first", "second"]}
    fetches = {
        "log_op": counted.make("log_op", log),
        "deep": {"one": counted.make("one", 1), "two": counted.make("two", 2)},
        "known": 3,
    }
    return Results(fetches, lambda function: function())


def test_a_path_computes_what_it_names_and_nothing_else() -> None:
    counted = Counted()
    results = make_results(counted)
    assert results["deep/two"] == results["deep"]["two"] == 2
    assert results["known"] == 3
    assert counted.calls == ["two"]


def test_a_path_goes_on_into_what_a_function_returned() -> None:
    counted = Counted()
    results = make_results(counted)
    assert results["log_op/scalars/loss/all"] == 0.5
    assert results["log_op/images/1"] == "second"
    assert counted.calls == ["log_op"]


def test_asking_whether_there_is_a_result_does_not_compute_it() -> None:
    counted = Counted()
    results = make_results(counted)
    assert "log_op" in results
    assert "deep/one" in results
    assert "deep/three" not in results
    assert "other" not in results
    assert cast("object", 3) not in results
    assert results.get("other/thing", 4) == 4
    assert list(results) == ["log_op", "deep", "known"]
    assert len(results) == 3
    assert counted.calls == []
    assert "log_op/scalars" in results
    assert "log_op/scalar" not in results


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("depe/one", "`path` to name a result, but got 'depe/one'. Did you mean 'deep'?"),
        ("deep/on", "but got 'on'. Did you mean 'one'?"),
        ("log_op/scalar", "known key, but got 'scalar'. Did you mean 'scalars'?"),
        ("log_op/images/2", "known key, but got '2'. Got .'first', 'second'."),
        ("known/more", "known key, but got 'more'. Got 3"),
    ],
)
def test_an_unknown_path_is_answered_with_the_nearest(path: str, message: str) -> None:
    with pytest.raises(KeyError, match=message):
        make_results(Counted())[path]


def test_an_error_of_a_function_is_not_taken_for_a_missing_path() -> None:
    def fail() -> None:
        raise KeyError("mine")

    results = Results({"broken": fail}, lambda function: function())
    with pytest.raises(KeyError, match="mine"):
        results.get("broken")


def test_what_is_added_gives_way_to_a_fetch_of_its_name() -> None:
    results = Results({"outputs": lambda: "mine"}, lambda function: function())
    results.add("outputs", "theirs")
    results.add("other", "added")
    assert (results["outputs"], results["other"]) == ("mine", "added")

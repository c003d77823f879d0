import re
from typing import Any

import numpy as np
import pytest

from leyden.errors import ConfigError, DataError
from leyden.experiment.samples import check_samples, count_rows, draw_parts, plain_samples


@pytest.mark.parametrize(
    ("samples", "counts"),
    [
        (None, (75, 0, 25)),
        ({}, (75, 0, 25)),
        ({"train": 0.8, "test": 0.2}, (80, 0, 20)),
        ({"train": 0.8}, (80, 0, 20)),
        ({"test": 0.1}, (90, 0, 10)),
        ({"train": 60}, (60, 0, 40)),
        ({"test": 30}, (70, 0, 30)),
        ({"val": 0.1}, (65, 10, 25)),
        ({"train": 0.7, "val": 0.1}, (70, 10, 20)),
        ({"train": 1.0}, (100, 0, 0)),
        ({"train": 100, "test": 0}, (100, 0, 0)),
        ({"train": 50, "test": 0.5}, (50, 0, 50)),
        ({"train": 0.29, "test": 0.71}, (29, 0, 71)),  # 0.29 * 100 is 28.999...
    ],
)
def test_parts_are_counted(samples: Any, counts: tuple[int, ...]) -> None:
    assert tuple(count_rows(samples, 100).values()) == counts


def test_no_row_is_lost_where_fractions_make_up_the_whole() -> None:
    assert count_rows({"train": 1 / 3, "val": 1 / 3, "test": 1 / 3}, 11) == {
        "train": 5,
        "val": 3,
        "test": 3,
    }


def test_rows_that_are_left_over_are_told() -> None:
    with pytest.warns(UserWarning, match=r"`samples` make use of 50 of 100 \(50%\) only"):
        count_rows({"train": 0.4, "test": 0.1}, 100)


@pytest.mark.parametrize("samples", [{"train": 90, "test": 20}, {"test": 100}, {"train": 101}])
def test_more_than_there_is_is_refused(samples: Any) -> None:
    with pytest.raises(DataError, match=r"enough rows, or sets of shards, .* there are 100"):
        count_rows(samples, 100)


def test_a_fraction_gets_one_row_at_least() -> None:
    assert count_rows({"train": 0.9, "test": 0.1}, 3) == {"train": 2, "val": 0, "test": 1}
    samples = {"train": 0.98, "val": 0.01, "test": 0.01}
    assert count_rows(samples, 10) == {"train": 8, "val": 1, "test": 1}
    with pytest.raises(DataError, match="but there are 1 in all"):
        count_rows({"train": 0.9, "test": 0.1}, 1)


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        ({"trian": 0.5}, "Expected `samples` of train, val, test, but got 'trian'. Did you mean"),
        ({"train": 0.8, "test": 0.3}, "to be 1 at most together, but got 1.1 of"),
        ({"train": 1.5}, "of 'train' to be a fraction in (0, 1] or a whole number from 1, but got"),
        ({"test": -1}, "of 'test' to be a fraction in (0, 1] or a whole number from 0, but got -1"),
        ({"train": True}, "but got True"),
        ({"train": 0}, "but got 0"),
        (0.8, "Expected `samples` to be a dictionary, but got 0.8. Pass such as {'train': 0.8"),
    ],
)
def test_samples_that_no_data_could_have_are_refused(samples: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)):
        check_samples(samples)


def test_no_two_parts_share_a_row_and_the_seed_decides() -> None:
    samples = {"train": 0.5, "val": 0.2, "test": 0.3}
    parts = draw_parts(samples, 100, shuffle=True, seed=1)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(100))
    again = draw_parts(samples, 100, shuffle=True, seed=1)
    other = draw_parts(samples, 100, shuffle=True, seed=2)
    assert parts["test"].tolist() == again["test"].tolist() != other["test"].tolist()


def test_without_shuffle_rows_stay_in_their_order() -> None:
    parts = draw_parts({"train": 3, "test": 2}, 5, shuffle=False, seed=0)
    assert {name: rows.tolist() for name, rows in parts.items()} == {
        "train": [0, 1, 2],
        "test": [3, 4],
    }


def test_numbers_of_numpy_and_nothing_to_test_will_do() -> None:
    told = plain_samples({"train": np.float32(0.8), "val": 0.0, "test": np.float32(0.2)})
    check_samples(told)
    assert {name: type(value) for name, value in told.items()} == {
        "train": float,
        "val": int,
        "test": float,
    }
    assert tuple(count_rows(told, 100).values()) == (80, 0, 20)
    assert plain_samples({"train": np.int64(30)}) == {"train": 30}

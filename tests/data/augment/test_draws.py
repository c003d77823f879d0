import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leyden.data.augment import Draws

KEYS = {"seed": 3, "epoch": 1, "set_numbers": [4, 4, 9], "rows": [0, 1, 0]}


def draws_of(**changed: object) -> Draws:
    return Draws.of(**(KEYS | changed))  # type: ignore[arg-type] # checked when run


def test_words_are_those_of_splitmix64() -> None:
    words = Draws(np.array([0, 1234567], np.uint64)).words(3)
    assert [f"{word:x}" for word in words[0].tolist()] == [  # from its authors' C code
        "e220a8397b1dcdaf",
        "6e789e6aa1b965f4",
        "6c45d188009454f",
    ]
    assert words[1].tolist() == [  # of many implementations' tests
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@pytest.mark.parametrize(
    "changed", [{"seed": 4}, {"epoch": 2}, {"set_numbers": [5, 5, 8]}, {"rows": [2, 3, 1]}]
)
def test_every_part_of_a_key_counts(changed: dict[str, object]) -> None:
    assert (draws_of(**changed).keys != draws_of().keys).all()


def test_parts_of_a_key_do_not_stand_for_each_other() -> None:
    keys = {
        int(draws_of(seed=seed, epoch=epoch, set_numbers=number, rows=[row]).keys[0])
        for seed in range(4)
        for epoch in range(4)
        for number in range(4)
        for row in range(4)
    }
    assert len(keys) == 4**4


def test_seeds_of_any_size_will_do() -> None:
    assert (draws_of(seed=2**63).keys != draws_of(seed=0).keys).all()
    assert len(draws_of(seed=2**80)) == 3


def test_one_set_number_serves_all_rows() -> None:
    assert (draws_of(set_numbers=np.int64(4)).keys == draws_of(set_numbers=[4, 4, 4]).keys).all()


def test_streams_differ_and_asking_twice_does_not() -> None:
    draws = draws_of()
    assert (draws.stream(0).keys != draws.stream(1).keys).all()
    assert (draws.stream(0).keys != draws.keys).all()
    assert np.array_equal(draws.stream(1).uniform(5), draws.stream(1).uniform(5))


@given(st.lists(st.integers(0, 2), min_size=1))
def test_samples_keep_their_numbers_when_picked(chosen: list[int]) -> None:
    draws = draws_of()
    index = np.array(chosen)
    assert np.array_equal(draws[index].uniform(4), draws.uniform(4)[index])


def test_uniform_numbers_are_spread_evenly() -> None:
    numbers = Draws.of(seed=0, epoch=0, set_numbers=1, rows=np.arange(20000)).uniform(5)
    assert numbers.shape == (20000, 5)
    assert (numbers.min() >= 0) & (numbers.max() < 1)
    tenths = np.bincount((numbers * 10).astype(int).ravel(), minlength=10)
    assert abs(tenths - 10000).max() < 5 * np.sqrt(10000 * 0.9)  # five deviations
    assert abs(np.corrcoef(numbers.T) - np.eye(5)).max() < 5 / np.sqrt(20000)


def test_numbers_are_drawn_from_a_range() -> None:
    numbers = Draws.of(seed=0, epoch=0, set_numbers=1, rows=np.arange(1000)).uniform(low=-2, high=3)
    assert numbers.shape == (1000,)
    assert -2 <= numbers.min() < -1.9
    assert 2.9 < numbers.max() <= 3


def test_choices_are_all_made() -> None:
    choices = Draws.of(seed=0, epoch=0, set_numbers=1, rows=np.arange(1000)).choose(3)
    assert set(choices.tolist()) == {0, 1, 2}

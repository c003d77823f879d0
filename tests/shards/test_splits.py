import pytest
from hypothesis import given
from hypothesis import strategies as st

from leyden.errors import ConfigError
from leyden.shards import hold_out


@given(
    numbers=st.lists(st.integers(0, 10**6), min_size=3, max_size=60, unique=True),
    fractions=st.lists(st.floats(0.01, 0.3), min_size=1, max_size=2),
    seed=st.integers(0, 2**32),
)
def test_parts_are_disjoint_cover_all_sets_and_are_reproducible(
    numbers: list[int], fractions: list[float], seed: int
) -> None:
    wanted = dict(zip(("val", "test"), fractions, strict=False))
    parts = hold_out(numbers, wanted, seed=seed)
    assert list(parts) == [*wanted, "rest"]
    assert sorted(number for part in parts.values() for number in part) == sorted(numbers)
    assert all(part == tuple(sorted(part)) for part in parts.values())
    for name, fraction in wanted.items():
        assert len(parts[name]) == max(1, round(len(numbers) * fraction))
    assert hold_out(sorted(numbers), wanted, seed=seed) == parts


def test_another_seed_draws_other_sets() -> None:
    draws = {hold_out(range(100), {"val": 0.1}, seed=seed)["val"] for seed in range(5)}
    assert len(draws) == 5


def test_no_fractions_leave_all_sets() -> None:
    assert hold_out([3, 1, 2], {}) == {"rest": (1, 2, 3)}


def test_a_small_fraction_gets_one_set() -> None:
    assert len(hold_out(range(10), {"val": 0.001})["val"]) == 1


def test_a_set_that_is_named_twice_is_drawn_once() -> None:
    parts = hold_out([1, 1, 2, 2], {"val": 0.5})
    assert sorted(parts["val"] + parts["rest"]) == [1, 2]


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, 20, float("nan")])
def test_a_fraction_lies_between_zero_and_one(fraction: float) -> None:
    expected = f"`val` to be a fraction between 0 and 1, but got {fraction!r}"
    with pytest.raises(ConfigError, match=expected):
        hold_out(range(10), {"val": fraction})


def test_the_rest_is_no_name_for_a_part() -> None:
    with pytest.raises(ConfigError, match="a name for a part, but got 'rest'"):
        hold_out(range(10), {"rest": 0.1})


@pytest.mark.parametrize(
    ("sets", "fractions", "expected"),
    [
        (1, {"val": 0.2}, "of 1 sets 1 for `val` are held out"),
        (2, {"val": 0.2, "test": 0.2}, "of 2 sets 1 for `val` and 1 for `test` are held out"),
        (10, {"val": 0.5, "test": 0.5}, "of 10 sets 5 for `val` and 5 for `test` are held out"),
        (0, {}, "of 0 sets none are held out"),
    ],
)
def test_something_is_left_to_train_on(
    sets: int, fractions: dict[str, float], expected: str
) -> None:
    remedy = "Make more, smaller sets, or hold out less"
    with pytest.raises(
        ConfigError, match=f"a set to be left for training, but {expected}. {remedy}"
    ):
        hold_out(range(sets), fractions)

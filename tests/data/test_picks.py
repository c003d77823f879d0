import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leyden.data.picks import Picks

PAIRS = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 999)), min_size=1, max_size=50)


@given(PAIRS)
def test_picks_say_of_each_row_which_set_it_is_from(pairs: list[tuple[int, int]]) -> None:
    numbers, rows = zip(*pairs, strict=True)
    picks = Picks.of(numbers, rows)
    assert len(picks) == len(pairs)
    assert picks.set_numbers.tolist() == list(numbers)
    assert picks.rows.tolist() == list(rows)
    assert picks.sets == tuple(sorted(set(numbers)))
    assert [picks.sets[place] for place in picks.places] == list(numbers)
    assert picks.counts == [numbers.count(number) for number in picks.sets]


@given(PAIRS)
def test_picks_go_to_other_processes(pairs: list[tuple[int, int]]) -> None:
    numbers, rows = zip(*pairs, strict=True)
    picks = pickle.loads(pickle.dumps(Picks.of(numbers, rows)))
    assert picks.set_numbers.tolist() == list(numbers)
    assert picks.rows.tolist() == list(rows)


@given(PAIRS, st.data())
def test_picks_are_split_into_stretches(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    numbers, rows = zip(*pairs, strict=True)
    ends = data.draw(st.sets(st.integers(1, len(pairs) - 1))) if len(pairs) > 1 else set()
    bounds = [0, *sorted(ends), len(pairs)]
    parts = list(Picks.of(numbers, rows).split(np.diff(bounds).tolist()))
    for part, begin, end in zip(parts, bounds, bounds[1:], strict=False):
        for same in (part, part.compact()):
            assert same.set_numbers.tolist() == list(numbers[begin:end])
            assert same.rows.tolist() == list(rows[begin:end])
        assert set(part.compact().sets) == set(numbers[begin:end])
    assert len(parts) == len(bounds) - 1


def test_a_set_that_is_visited_twice_keeps_its_places() -> None:
    picks = Picks((7, 2, 7), np.array([0, 1, 2, 2]), np.array([5, 0, 5, 6]))
    assert picks.set_numbers.tolist() == [7, 2, 7, 7]
    assert picks.counts == [1, 1, 2]

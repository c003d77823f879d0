"""What only the readers ahead ask of an order; the rest is tested as the plan that it makes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from leyden.data.order import EpochOrder

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=9)
MODES = ["none", "sets", "blocks:3", "rows", "window:2", "window:4", "full"]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(LENGTHS, st.sampled_from(MODES), st.data())
def test_the_visits_until_a_position_have_all_rows_before_it(
    lengths: list[int], mode: str, data: st.DataObject
) -> None:
    order = EpochOrder(dict(enumerate(lengths)), shuffle=mode, seed=3)
    position = data.draw(st.integers(0, order.num_rows))
    until = order.visits_until(position)
    visits, _ = order.rows(0, position)
    assert np.all(visits < until)
    at_once = {"window:2": 2, "window:4": 4, "full": len(lengths)}.get(mode, 1)
    last = order.visits_until(position - 1) if position else 0
    assert last <= until <= len(lengths)
    assert until - (visits.max() + 1 if position else 0) < at_once


def test_visits_are_counted_group_by_group() -> None:
    order = EpochOrder({1: 2, 2: 3, 3: 2, 4: 1, 5: 2}, shuffle="window:2")
    ends = np.cumsum(order.visited_lengths)[[1, 3, 4]].tolist()
    counted = [order.visits_until(position) for position in range(11)]
    expected = [0] + [2] * ends[0] + [4] * (ends[1] - ends[0]) + [5] * (10 - ends[1])
    assert counted == expected

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain, groupby, pairwise, product
from string import ascii_lowercase
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leyden.data.order import Shuffle, parse_shuffle
from leyden.data.plan import Begin, EpochPlan
from leyden.errors import ConfigError, DataError
from leyden.lifecycle import Window

Case: TypeAlias = tuple[dict[int, int], dict[str, Any]]

LENGTHS = st.dictionaries(st.integers(0, 9999), st.integers(1, 200), min_size=1, max_size=12)
WINDOWS = st.integers(1, 14).map("window:{}".format)
CONTIGUOUS = st.sampled_from(["none", "sets", "rows"])
ANY_SHUFFLE = CONTIGUOUS | st.just("full") | WINDOWS
often = settings(max_examples=40, deadline=None, derandomize=True)


def cases(shuffle: st.SearchStrategy[str] = ANY_SHUFFLE) -> st.SearchStrategy[Case]:
    """Lengths of sets, and the other arguments of a plan."""
    arguments = {
        "batch_size": st.integers(1, 300),
        "shuffle": shuffle,
        "seed": st.integers(0, 2**40),
        "epoch": st.integers(0, 1000),
    }
    return st.tuples(LENGTHS, st.fixed_dictionaries(arguments))


def rows_in_order(plan: EpochPlan) -> list[tuple[int, int]]:
    """List set number and row of everything that the batches hold, in their order."""
    return [
        (piece.set_number, row) for batch in plan for piece in batch.slices for row in piece.rows
    ]


def all_rows(lengths: Mapping[int, int]) -> list[tuple[int, int]]:
    return [(number, row) for number, length in lengths.items() for row in range(length)]


def in_both(plan: EpochPlan, start: int, stop: int) -> list[tuple[int, int]]:
    visits, rows = plan.rows(start, stop)
    return list(zip(visits.tolist(), rows.tolist(), strict=True))


@often
@given(cases())
def test_every_row_is_in_an_epoch_once(case: Case) -> None:
    lengths, arguments = case
    plan = EpochPlan(lengths, **arguments)
    assert sorted(rows_in_order(plan)) == sorted(all_rows(lengths))


@often
@given(cases())
def test_every_batch_but_the_last_is_full(case: Case) -> None:
    lengths, arguments = case
    size, total = arguments["batch_size"], sum(lengths.values())
    plan = EpochPlan(lengths, **arguments)
    sizes = [batch.num_rows for batch in plan]
    assert len(plan) == len(sizes) == -(-total // size)
    assert sizes[:-1] == [size] * (len(sizes) - 1)
    assert sizes[-1] == total - size * (len(sizes) - 1)
    assert [batch.batch_index for batch in plan] == list(range(len(plan)))
    assert {batch.epoch for batch in plan} == {arguments["epoch"]}


@often
@given(cases(), st.data())
def test_drop_last_leaves_out_what_fills_no_batch(case: Case, data: st.DataObject) -> None:
    lengths, arguments = case
    arguments["batch_size"] = data.draw(st.integers(1, sum(lengths.values())))
    plan = EpochPlan(lengths, **arguments, drop_last=True)
    whole = EpochPlan(lengths, **arguments)
    assert len(plan) == sum(lengths.values()) // arguments["batch_size"]
    assert plan.num_rows == len(plan) * arguments["batch_size"]
    assert list(plan) == list(whole)[: len(plan)]


@often
@given(cases(), st.randoms(use_true_random=False))
def test_batches_are_the_same_in_whatever_order_they_are_asked_for(case: Case, random: Any) -> None:
    lengths, arguments = case
    expected = list(EpochPlan(lengths, **arguments))
    indices = 2 * list(range(len(expected)))
    random.shuffle(indices)
    plan = EpochPlan(lengths, **arguments)
    assert [plan[index] for index in indices] == [expected[index] for index in indices]


@often
@given(cases())
def test_a_batch_is_its_stretch_of_the_order_sorted_into_slices(case: Case) -> None:
    lengths, arguments = case
    plan = EpochPlan(lengths, **arguments)
    start = 0
    for batch in plan:
        visits, rows = plan.rows(start, start + batch.num_rows)
        start += batch.num_rows
        sets = np.array(plan.set_order)[visits]
        assert [plan.set_order[visit] for visit in sorted({*visits.tolist()})] == [
            *batch.set_numbers
        ]
        for piece in batch.slices:
            assert rows[sets == piece.set_number].tolist() == piece.rows.tolist()


@often
@given(cases(CONTIGUOUS))
def test_a_set_is_finished_before_the_next_begins(case: Case) -> None:
    lengths, arguments = case
    plan = EpochPlan(lengths, **arguments)
    sets = [number for number, _ in groupby(number for number, _ in rows_in_order(plan))]
    assert sets == list(plan.set_order)
    assert sorted(sets) == sorted(lengths)


@often
@given(cases(), st.lists(st.floats(0, 1), max_size=5))
def test_stretches_add_up_to_the_whole_order(case: Case, cuts: list[float]) -> None:
    lengths, arguments = case
    plan, total = EpochPlan(lengths, **arguments), sum(lengths.values())
    ends = [0, *sorted(int(cut * total) for cut in cuts), total]
    stretches = [in_both(plan, start, stop) for start, stop in pairwise(ends)]
    assert list(chain(*stretches)) == in_both(EpochPlan(lengths, **arguments), 0, total)


@often
@given(cases(WINDOWS))
def test_rows_stay_within_their_window(case: Case) -> None:
    lengths, arguments = case
    size = int(arguments["shuffle"].removeprefix("window:"))
    visits, _ = EpochPlan(lengths, **arguments).rows(0, sum(lengths.values()))
    windows = (visits // size).tolist()
    assert windows == sorted(windows)


@often
@given(cases(st.just("none")))
def test_without_shuffle_the_order_is_natural_in_every_epoch(case: Case) -> None:
    lengths, arguments = case
    plan = EpochPlan(lengths, **arguments)
    assert plan.set_order == tuple(lengths)
    assert rows_in_order(plan) == all_rows(lengths)


@often
@given(cases(st.just("sets")))
def test_shuffled_sets_keep_the_order_of_their_rows(case: Case) -> None:
    lengths, arguments = case
    plan = EpochPlan(lengths, **arguments)
    assert rows_in_order(plan) == all_rows({number: lengths[number] for number in plan.set_order})


@often
@given(cases())
def test_the_parts_of_a_set_are_lettered_without_a_gap(case: Case) -> None:
    lengths, arguments = case
    seen = defaultdict(list)
    for batch in EpochPlan(lengths, **arguments):
        for piece in batch.slices:
            seen[piece.set_number].append(piece.part)
    words = ["".join(word) for size in (1, 2) for word in product(ascii_lowercase, repeat=size)]
    for parts in seen.values():
        assert parts == ([""] if len(parts) == 1 else words[: len(parts)])


@often
@given(cases(), st.floats(0, 1))
def test_sets_from_a_position_are_those_of_the_rows_there_and_after(
    case: Case, where: float
) -> None:
    lengths, arguments = case
    plan, total = EpochPlan(lengths, **arguments), sum(lengths.values())
    for position in (0, int(where * total), total - 1):
        visits, _ = plan.rows(position, total)
        assert plan.sets_from(position) == tuple(plan.set_order[v] for v in np.unique(visits))
    assert plan.sets_from(total) == ()


@often
@given(cases(CONTIGUOUS))
def test_sets_that_are_dropped_whole_are_not_to_come(case: Case) -> None:
    lengths, arguments = case
    arguments["batch_size"] = max(1, sum(lengths.values()) // 2)
    plan = EpochPlan(lengths, **arguments, drop_last=True)
    visits, _ = plan.rows(0, plan.num_rows)
    assert plan.sets_from(0) == tuple(plan.set_order[visit] for visit in np.unique(visits))


def test_batches_of_64_from_sets_of_48() -> None:
    plan = EpochPlan(dict.fromkeys((1, 2, 3, 4), 48), batch_size=64, shuffle="none")
    assert [batch.name for batch in plan] == ["1+2-a", "2-b+3-a", "3-b+4"]
    first, second = plan[1].slices
    assert first.rows.tolist() == list(range(16, 48))
    assert second.rows.tolist() == list(range(32))


@pytest.mark.parametrize(
    ("lengths", "batch_size", "names"),
    [
        ({12: 2}, 2, ["12"]),
        ({12: 2}, 5, ["12"]),
        ({12: 3}, 2, ["12-a", "12-b"]),
        ({12: 2, 13: 2}, 4, ["12+13"]),
        ({12: 3, 13: 3}, 2, ["12-a", "12-b+13-a", "13-b"]),
        ({7: 1, 3: 4, 5: 1}, 3, ["7+3-a", "3-b+5"]),
        ({1: 2, 2: 2, 3: 2}, 2, ["1", "2", "3"]),
    ],
)
def test_names_worked_out_by_hand(
    lengths: dict[int, int], batch_size: int, names: list[str]
) -> None:
    plan = EpochPlan(lengths, batch_size=batch_size, shuffle="none")
    assert [batch.name for batch in plan] == names


def test_after_z_comes_aa() -> None:
    names = [batch.name for batch in EpochPlan({12: 28}, batch_size=1, shuffle="none")]
    assert names[0] == "12-a"
    assert names[25:] == ["12-z", "12-aa", "12-ab"]


def test_rows_are_drawn_from_the_streams_of_seed_epoch_and_group() -> None:
    lengths = {10: 4, 20: 3, 30: 5}
    plan = EpochPlan(lengths, batch_size=100, shuffle="rows", seed=7, epoch=2)
    order = np.random.default_rng((7, 2, 0)).permutation([10, 20, 30])
    expected = [
        (number, row)
        for visit, number in enumerate(order)
        for row in np.random.default_rng((7, 2, 1 + visit)).permutation(lengths[number])
    ]
    assert rows_in_order(plan) == expected


def test_rows_of_all_sets_are_drawn_together_when_shuffled_in_full() -> None:
    lengths = {10: 4, 20: 4, 30: 4}
    plan = EpochPlan(lengths, batch_size=1, shuffle="full", seed=7, epoch=2)
    order = np.random.default_rng((7, 2, 0)).permutation([10, 20, 30])
    places = np.random.default_rng((7, 2, 1)).permutation(12)
    assert rows_in_order(plan) == [(order[place // 4], place % 4) for place in places]


def test_a_window_over_all_sets_is_a_full_shuffle() -> None:
    lengths = {1: 5, 2: 6, 3: 7}
    wide, full = (EpochPlan(lengths, batch_size=4, shuffle=text) for text in ("window:99", "full"))
    assert list(wide) == list(full)


@pytest.mark.parametrize("shuffle", ["sets", "rows", "window:3", "full"])
@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}, {"seed": 2**40}])
def test_seeds_and_epochs_have_orders_of_their_own(shuffle: str, other: dict[str, Any]) -> None:
    lengths = dict.fromkeys(range(20), 10)
    one = EpochPlan(lengths, batch_size=8, shuffle=shuffle)
    another = EpochPlan(lengths, batch_size=8, shuffle=shuffle, **other)
    assert rows_in_order(one) != rows_in_order(another)


def test_the_order_does_not_depend_on_the_batch_size() -> None:
    lengths = dict.fromkeys(range(5), 10)
    plans = [EpochPlan(lengths, batch_size=size, shuffle="rows") for size in (1, 7, 50)]
    assert len({tuple(rows_in_order(plan)) for plan in plans}) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", Shuffle(sets=False, group=0)),
        ("sets", Shuffle(sets=True, group=0)),
        ("rows", Shuffle(sets=True, group=1)),
        ("window:1", Shuffle(sets=True, group=1)),
        ("window:12", Shuffle(sets=True, group=12)),
    ],
)
def test_shuffles_are_known_by_name(text: str, expected: Shuffle) -> None:
    assert parse_shuffle(text) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("row", "Did you mean 'rows'[?] Known: blocks, full, none, rows, sets, window:K."),
        ("windows:3", "Did you mean 'window:K'[?]"),
        ("window", "Did you mean 'window:K'[?]"),
        ("window:0", "Did you mean 'window:K'[?]"),
        ("window:-1", "Did you mean 'window:K'[?]"),
        ("window:1.5", "Did you mean 'window:K'[?]"),
        ("", "Known: blocks, full, none"),
    ],
)
def test_an_unknown_shuffle_is_answered_with_the_nearest(text: str, hint: str) -> None:
    problem = f"Expected `shuffle` to be the name of a shuffle, but got '{text}'. {hint}"
    with pytest.raises(ConfigError, match=problem):
        EpochPlan({1: 2}, batch_size=1, shuffle=text)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"batch_size": 0}, "`batch_size` to be a whole number from 1, but got 0[.]"),
        ({"batch_size": True}, "`batch_size` to be a whole number from 1, but got True[.]"),
        ({"batch_size": 1.5}, "`batch_size` to be a whole number from 1, but got 1[.]5[.]"),
        ({"batch_size": "32"}, "`batch_size` to be a whole number from 1, but got '32'[.]"),
        ({"seed": -1}, "`seed` to be a whole number from 0, but got -1[.]"),
        ({"epoch": -1}, "`epoch` to be a whole number from 0, but got -1[.]"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=f"Expected {problem}"):
        EpochPlan({1: 2}, **{"batch_size": 1, **arguments})


def test_a_batch_that_does_not_exist_is_refused() -> None:
    plan = EpochPlan({1: 5}, batch_size=2, epoch=3)
    for index in (3, -1):
        problem = f"Expected a batch index from 0 to 2, but got {index} in epoch 3[.]"
        with pytest.raises(IndexError, match=problem):
            plan[index]


def test_rows_outside_the_epoch_are_refused() -> None:
    plan = EpochPlan({1: 5}, batch_size=2)
    for start, stop in ((-1, 2), (3, 2), (0, 6)):
        problem = f"Expected positions within the 5 rows of the epoch, but got {start} to {stop}[.]"
        with pytest.raises(DataError, match=problem):
            plan.rows(start, stop)


def test_an_epoch_without_a_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"at least 4 rows for a batch, but got 3[.] Lower"):
        EpochPlan({1: 1, 2: 2}, batch_size=4, drop_last=True)
    with pytest.raises(ConfigError, match="Expected at least 1 rows for a batch, but got 0"):
        EpochPlan({}, batch_size=4)


@often
@given(cases(), st.data())
def test_a_block_is_its_batches_one_after_another(case: Case, data: st.DataObject) -> None:
    lengths, arguments = case
    num_ranks = data.draw(st.integers(1, 3))
    plan = EpochPlan(
        lengths, **arguments, ranks=(data.draw(st.integers(0, num_ranks - 1)), num_ranks)
    )
    first = data.draw(st.integers(0, len(plan) - 1))
    stop = data.draw(st.integers(first + 1, len(plan)))
    picks, sizes = plan.block(first, stop)
    batches = [plan[index] for index in range(first, stop)]
    assert sizes == [batch.num_rows for batch in batches]
    slices = [piece for batch in batches for piece in batch.slices]
    assert picks.rows.tolist() == [row for piece in slices for row in piece.rows.tolist()]
    numbers = [piece.set_number for piece in slices for _ in piece.rows]
    assert picks.set_numbers.tolist() == numbers
    assert sorted(set(picks.places.tolist())) == list(range(len(picks.sets)))


@often
@given(cases(), st.integers(1, 5))
def test_each_window_of_a_batch_counts_as_one(case: Case, windows: int) -> None:
    lengths, arguments = case
    whole = EpochPlan(lengths, **arguments)
    plan = EpochPlan(lengths, **arguments, windows=windows)
    assert len(plan) == len(whole) * windows
    assert plan.num_rows == whole.num_rows
    for index, origin in enumerate(plan):
        batch, window = divmod(index, windows)
        assert origin.batch_index == index
        assert origin.slices == whole[batch].slices
        assert origin.window == (Window(window, windows) if windows > 1 else None)
        assert plan.rows_before(index) == whole.rows_before(batch)
    first, second = plan.block(0, len(whole)), whole.block(0, len(whole))
    assert first[1] == second[1]
    assert first[0].set_numbers.tolist() == second[0].set_numbers.tolist()


@often
@given(cases(), st.integers(1, 3), st.data())
def test_an_epoch_goes_on_from_any_row_with_the_rows_that_are_left(
    case: Case, windows: int, data: st.DataObject
) -> None:
    lengths, arguments = case
    total, num_ranks = sum(lengths.values()), data.draw(st.integers(1, 3))
    row = data.draw(st.integers(0, total - 1))
    begin = Begin(row, batch=4, step_rows=data.draw(st.integers(0, total - row)))
    plans = [
        EpochPlan(lengths, **arguments, begin=begin, windows=windows, ranks=(rank, num_ranks))
        for rank in range(num_ranks)
    ]
    assert plans[0].first_index == 4 * windows
    visits, rows = plans[0].rows(row, total)
    left = [(plans[0].set_order[v], r) for v, r in zip(visits.tolist(), rows.tolist(), strict=True)]
    found = [
        (piece.set_number, int(each))
        for plan in plans
        for batch in plan
        if not batch.is_repeated and (batch.window is None or batch.window.is_first)
        for piece in batch.slices
        for each in piece.rows
    ]
    assert sorted(found) == sorted(left)
    if begin.step_rows:
        begun = [plan[4 * windows] for plan in plans]
        assert sum(each.num_rows - each.is_repeated for each in begun) == begin.step_rows


def test_a_batch_before_the_place_where_an_epoch_goes_on_is_not_known() -> None:
    plan = EpochPlan({1: 10}, batch_size=3, begin=Begin(4, batch=2), windows=3)
    with pytest.raises(IndexError, match="Expected a batch index from 6 to 11, but got 5 in epoch"):
        plan[5]


@often
@given(cases(), st.data())
def test_batches_are_the_same_whether_they_were_planned_together_or_asked_for_alone(
    case: Case, data: st.DataObject
) -> None:
    lengths, arguments = case
    together, alone = (EpochPlan(lengths, **arguments) for _ in range(2))
    bounds = [0, *sorted(data.draw(st.sets(st.integers(1, len(together))))), len(together)]
    for first, stop in pairwise(bounds):
        if first < stop:
            together.block(first, stop)
        asked = data.draw(st.lists(st.integers(0, len(together) - 1), max_size=3))
        kept = [(index, together[index]) for index in asked]
        for index, origin in kept:
            other = alone[index]
            assert origin.set_numbers == other.set_numbers
            assert (origin, origin.name) == (other, other.name)
            assert origin.set_numbers == tuple(piece.set_number for piece in origin.slices)


@pytest.mark.parametrize("shuffle", ["window:1", "window:8", "window:150", "full"])
def test_a_large_block_of_many_sets_is_its_batches_one_after_another(shuffle: str) -> None:
    # So many batches and sets that their pairs have no number of 16 bits.
    lengths = {number: 20 + number % 7 for number in range(1, 301)}
    plan = EpochPlan(lengths, batch_size=16, shuffle=shuffle)
    picks, sizes = plan.block(0, len(plan))
    assert len(plan) * len(lengths) > 1 << 16
    single = [plan.block(index, index + 1)[0] for index in range(len(plan))]
    assert sizes == [len(one) for one in single]
    assert picks.set_numbers.tolist() == [n for one in single for n in one.set_numbers.tolist()]
    assert picks.rows.tolist() == [row for one in single for row in one.rows.tolist()]
    for one in single:
        assert len(one.set_numbers) < 2 or np.all(np.diff(one.places) >= 0)

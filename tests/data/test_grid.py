from itertools import chain, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leyden.data.grid import BatchGrid
from leyden.errors import ConfigError

often = settings(max_examples=200, deadline=None, derandomize=True)
ROWS, SIZES, RANKS = st.integers(1, 400), st.integers(1, 60), st.integers(1, 9)


def spans(grid: BatchGrid) -> list[list[tuple[int, int]]]:
    """List the stretches of all ranks, step by step."""
    steps = range(grid.first_batch, len(grid))
    return [[grid.span(step, rank) for rank in range(grid.num_ranks)] for step in steps]


@often
@given(ROWS, SIZES, RANKS)
def test_every_row_belongs_to_one_batch_and_every_rank_makes_the_same_steps(
    num_rows: int, batch_size: int, num_ranks: int
) -> None:
    grid = BatchGrid(num_rows, batch_size, num_ranks=num_ranks)
    flat = list(chain.from_iterable(spans(grid)))
    if num_rows >= num_ranks:
        assert flat[0][0] == 0
        assert flat[-1][1] == num_rows
        assert all(one[1] == next_[0] for one, next_ in pairwise(flat))
    assert all(start < stop for start, stop in flat)
    assert {row for start, stop in flat for row in range(start, stop)} == set(range(num_rows))


@often
@given(ROWS, SIZES, RANKS)
def test_steps_before_the_last_take_whole_batches_in_order(
    num_rows: int, batch_size: int, num_ranks: int
) -> None:
    for step, ranks in enumerate(spans(BatchGrid(num_rows, batch_size, num_ranks=num_ranks))[:-1]):
        first = step * num_ranks * batch_size
        assert ranks == [
            (first + rank * batch_size, first + (rank + 1) * batch_size)
            for rank in range(num_ranks)
        ]


@often
@given(ROWS, SIZES, RANKS)
def test_the_last_step_is_even(num_rows: int, batch_size: int, num_ranks: int) -> None:
    sizes = [
        stop - start
        for start, stop in spans(BatchGrid(num_rows, batch_size, num_ranks=num_ranks))[-1]
    ]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_size + 1


def test_a_rest_smaller_than_the_ranks_widens_the_step_before() -> None:
    assert spans(BatchGrid(13, 2, num_ranks=3)) == [
        [(0, 2), (2, 4), (4, 6)],
        [(6, 9), (9, 11), (11, 13)],
    ]


def test_fewer_rows_than_ranks_are_repeated_and_said_to_be() -> None:
    grid = BatchGrid(2, 4, num_ranks=3)
    assert spans(grid) == [[(0, 1), (1, 2), (1, 2)]]
    assert [grid.is_repeated(0, rank) for rank in range(3)] == [False, False, True]


def test_a_rest_is_dropped_on_request() -> None:
    grid = BatchGrid(13, 2, num_ranks=3, drop_last=True)
    assert (len(grid), grid.num_rows) == (2, 12)
    with pytest.raises(ConfigError, match="Expected at least 6 rows for a batch, but got 5"):
        BatchGrid(5, 2, num_ranks=3, drop_last=True)


@often
@given(ROWS, SIZES, RANKS, st.data())
def test_cells_number_the_batches_of_all_ranks_through(
    num_rows: int, batch_size: int, num_ranks: int, data: st.DataObject
) -> None:
    first_row = data.draw(st.integers(0, num_rows - 1))
    grid = BatchGrid(num_rows, batch_size, num_ranks=num_ranks, first_row=first_row, first_batch=7)
    if num_rows - first_row >= num_ranks:
        flat = list(chain.from_iterable(spans(grid)))
        expected = [cell for cell, (start, stop) in enumerate(flat) for _ in range(start, stop)]
        assert grid.cells(range(num_rows)).tolist() == [-1] * first_row + expected


@often
@given(ROWS, SIZES, RANKS)
def test_rows_before_a_batch_are_those_of_all_ranks(
    num_rows: int, batch_size: int, num_ranks: int
) -> None:
    grid = BatchGrid(num_rows, batch_size, num_ranks=num_ranks)
    steps = spans(grid)
    assert [grid.rows_before(step) for step in range(len(grid))] == [ranks[0][0] for ranks in steps]
    assert grid.rows_before(len(grid)) == num_rows


@pytest.mark.parametrize("arguments", [{"batch_size": 0}, {"num_ranks": 0}, {"batch_size": True}])
def test_sizes_must_be_whole_numbers(arguments: dict[str, int]) -> None:
    sizes = {"batch_size": 1, "num_ranks": 1} | arguments
    with pytest.raises(ConfigError, match="to be a whole number from 1"):
        BatchGrid(10, sizes["batch_size"], num_ranks=sizes["num_ranks"])


@often
@given(ROWS, SIZES, RANKS, st.data())
def test_a_step_that_was_begun_is_finished_and_the_rest_is_cut_anew(
    num_rows: int, batch_size: int, num_ranks: int, data: st.DataObject
) -> None:
    first_row = data.draw(st.integers(0, num_rows - 1))
    first_step = data.draw(st.integers(1, num_rows - first_row))
    grid = BatchGrid(
        num_rows,
        batch_size,
        num_ranks=num_ranks,
        first_row=first_row,
        first_batch=7,
        first_step=first_step,
    )
    begun, *others = spans(grid)
    end = first_row + first_step
    assert {row for start, stop in begun for row in range(start, stop)} == {*range(first_row, end)}
    sizes = [stop - start for start, stop in begun]
    assert max(sizes) - min(sizes) <= 1
    repeated = [grid.is_repeated(7, rank) for rank in range(num_ranks)]
    assert sum(sizes) == first_step + sum(repeated)
    assert any(repeated) is (first_step < num_ranks)
    assert (grid.rows_before(7), grid.rows_before(8)) == (first_row, end)
    if end < num_rows:
        rest = BatchGrid(num_rows, batch_size, num_ranks=num_ranks, first_row=end, first_batch=8)
        assert others == spans(rest)
        assert len(grid) == len(rest)
        assert [grid.rows_before(step) for step in range(8, len(grid) + 1)] == [
            rest.rows_before(step) for step in range(8, len(grid) + 1)
        ]
    else:
        assert (others, len(grid)) == ([], 8)


def test_a_step_that_was_begun_is_finished_by_hand() -> None:
    grid = BatchGrid(20, 2, num_ranks=2, first_row=4, first_batch=3, first_step=9)
    assert spans(grid) == [[(4, 9), (9, 13)], [(13, 15), (15, 17)], [(17, 19), (19, 20)]]
    dropped = BatchGrid(20, 2, num_ranks=2, drop_last=True, first_row=4, first_step=9)
    assert spans(dropped) == [[(4, 9), (9, 13)], [(13, 15), (15, 17)]]
    assert dropped.num_rows == 17
    only = BatchGrid(6, 4, num_ranks=2, drop_last=True, first_row=4, first_step=2)
    assert spans(only) == [[(4, 5), (5, 6)]]


@often
@given(ROWS, SIZES, RANKS, st.booleans(), st.data())
def test_batches_are_found_one_by_one_and_many_at_once(
    num_rows: int, batch_size: int, num_ranks: int, begun: bool, data: st.DataObject
) -> None:
    first_row = data.draw(st.integers(0, num_rows - 1))
    first_step = data.draw(st.integers(1, num_rows - first_row)) if begun else 0
    grid = BatchGrid(
        num_rows,
        batch_size,
        num_ranks=num_ranks,
        first_row=first_row,
        first_batch=7,
        first_step=first_step,
    )
    first = data.draw(st.integers(7, len(grid) - 1))
    stop = data.draw(st.integers(first + 1, len(grid)))
    for rank in range(num_ranks):
        expected = [grid.span(batch, rank) for batch in range(first, stop)]
        assert [tuple(span) for span in grid.spans(first, stop, rank).tolist()] == expected
    if num_rows - first_row - first_step >= num_ranks and first_step >= num_ranks * begun:
        flat = [cell for step in spans(grid) for cell in step]
        cells = [cell for cell, (start, end) in enumerate(flat) for _ in range(start, end)]
        assert grid.cells(range(num_rows)).tolist() == [-1] * first_row + cells

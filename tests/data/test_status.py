from math import inf

import pytest

from leyden.data.plan import EpochPlan
from leyden.data.progress import Progress
from leyden.data.status import Status, make_status
from leyden.lifecycle import Window
from leyden.types import Phase

LENGTHS = {1: 48, 2: 48, 3: 48, 4: 6}  # 150 rows; batches 1+2-a, 2-b+3-a and 3-b+4, of 64, 64, 22


def progress(plan: EpochPlan, num_batches: int, speed: float = 0.0) -> Progress:
    """Tell of so many batches at so many rows per second."""
    seconds = plan.rows_before(num_batches) / speed if speed else 0.0
    return Progress(plan, num_batches, first=0, began=100.0, now=100.0 + seconds)


def status(num_batches: int, num_rows: int, speed: float = 0.0, *, shuffle: str = "none") -> Status:
    plan = EpochPlan(LENGTHS, batch_size=64, shuffle=shuffle, epoch=2)
    assert plan.rows_before(num_batches) == num_rows
    return make_status(Phase.TRAIN, progress(plan, num_batches, speed))


@pytest.mark.parametrize(
    ("num_batches", "num_rows", "name", "set_numbers", "done", "left"),
    [
        (1, 64, "1+2-a", (1, 2), (1,), (2, 3, 4)),
        (2, 128, "2-b+3-a", (2, 3), (1, 2), (3, 4)),
        (3, 150, "3-b+4", (3, 4), (1, 2, 3, 4), ()),
    ],
)
def test_every_batch_is_known(
    num_batches: int,
    num_rows: int,
    name: str,
    set_numbers: tuple[int, ...],
    done: tuple[int, ...],
    left: tuple[int, ...],
) -> None:
    found = status(num_batches, num_rows)
    assert (found.phase, found.epoch, found.batch, found.num_batches) == (
        Phase.TRAIN,
        2,
        num_batches - 1,
        3,
    )
    assert (found.name, found.set_numbers) == (name, set_numbers)
    assert (found.sets_done, found.sets_left) == (done, left)
    assert found.rows_left == 150 - num_rows


def test_time_is_told_from_the_speed() -> None:
    found = status(2, 128, 11.0)
    assert found.rows_per_second == pytest.approx(11.0)
    assert found.seconds_left == pytest.approx(2.0)  # 22 rows


def test_without_a_speed_there_is_no_telling() -> None:
    assert status(2, 128).seconds_left == inf
    assert str(status(2, 128)).endswith("22 rows left, 0 rows/s, inf s to go")


def test_a_status_can_be_read() -> None:
    assert str(status(1, 64, 43.0)) == (
        "train epoch 2 batch 1/3: set 1+2-a, 3 sets and 86 rows left, 43 rows/s, 2 s to go"
    )


def test_one_set_is_not_called_sets() -> None:
    plan = EpochPlan({1: 2500}, batch_size=1000, shuffle="none")
    found = make_status(Phase.VAL, progress(plan, 1, 1000.0))
    expected = "val epoch 0 batch 1/3: set 1-a, 1 set and 1,500 rows left, 1,000 rows/s, 2 s to go"
    assert str(found) == expected


def test_sets_are_done_in_the_order_in_which_they_came() -> None:
    found = status(2, 128, shuffle="sets")
    order = EpochPlan(LENGTHS, batch_size=64, shuffle="sets", epoch=2).set_order
    assert found.sets_done + found.sets_left == order


def test_sets_of_a_window_are_left_until_their_last_row() -> None:
    lengths = dict.fromkeys(range(10), 3)
    plan = EpochPlan(lengths, batch_size=4, shuffle="full")
    for num_batches in range(1, 9):
        found = make_status(Phase.TRAIN, progress(plan, num_batches, 1.0))
        coming = {number for batch in list(plan)[num_batches:] for number in batch.set_numbers}
        assert set(found.sets_left) == coming
        assert set(found.sets_done) == set(lengths) - coming


def test_rows_that_are_dropped_are_not_left() -> None:
    plan = EpochPlan(LENGTHS, batch_size=64, shuffle="none", drop_last=True)
    first = make_status(Phase.TRAIN, progress(plan, 1, 64.0))
    assert (first.num_batches, first.rows_left, first.seconds_left) == (2, 64, 1.0)
    assert first.sets_left == (2, 3)  # 4 is dropped
    last = make_status(Phase.TRAIN, progress(plan, 2, 64.0))
    assert (last.sets_left, last.rows_left, last.seconds_left) == ((), 0, 0.0)


def test_the_window_of_time_is_told() -> None:
    plan = EpochPlan({1: 4, 2: 4}, batch_size=4, shuffle="none", windows=3)
    found = make_status(Phase.TRAIN, progress(plan, 5, 8.0))
    assert (found.name, found.batch, found.num_batches) == ("2", 4, 6)
    assert found.window == Window(1, 3)
    assert found.rows_left == 4  # their last window is still to come
    assert "batch 5/6: set 2, window 2/3, 1 set and 4 rows left" in str(found)


@pytest.mark.parametrize(
    ("num_batches", "rows_left", "seconds"), [(1, 24, 99.0), (51, 24, 49.0), (100, 0, 0.0)]
)
def test_time_is_told_within_the_windows_of_a_batch(
    num_batches: int, rows_left: int, seconds: float
) -> None:
    """A hundred of them, of a second each; the one at hand has just begun."""
    plan = EpochPlan({1: 24}, batch_size=24, shuffle="none", windows=100)
    found = make_status(Phase.VAL, Progress(plan, num_batches, 0, 100.0, 100.0 + num_batches))
    assert found.rows_left == rows_left
    assert found.seconds_left == pytest.approx(seconds)


def test_batches_that_a_trainer_leaves_out_are_not_left() -> None:
    """Two of three: the rest of set 3 and set 4 will not come."""
    plan = EpochPlan(LENGTHS, batch_size=64, shuffle="none")
    found = make_status(Phase.TRAIN, progress(plan, 1, 64.0), limit=2)
    assert (found.num_batches, found.rows_left, found.seconds_left) == (2, 64, 1.0)
    assert (found.sets_done, found.sets_left) == ((1,), (2, 3))
    found = make_status(Phase.TRAIN, progress(plan, 2, 64.0), limit=2)
    assert (found.rows_left, found.seconds_left, found.sets_left) == (0, 0.0, ())


def test_a_limit_within_the_windows_of_a_batch_ends_it() -> None:
    plan = EpochPlan({1: 8, 2: 8}, batch_size=8, shuffle="none", windows=4)
    found = make_status(Phase.TRAIN, Progress(plan, 5, 0, 100.0, 105.0), limit=6)
    assert found.rows_left == 8
    assert found.seconds_left == pytest.approx(1.0)
    found = make_status(Phase.TRAIN, Progress(plan, 6, 0, 100.0, 106.0), limit=6)
    assert (found.rows_left, found.seconds_left) == (0, 0.0)

import pickle
from itertools import count, islice, product
from string import ascii_lowercase

import numpy as np
import pytest

from leyden.data.origin import (
    BatchOrigin,
    PlannedOrigin,
    Slice,
    part_name,
    rows_of,
)
from leyden.lifecycle import Window


def test_parts_are_lettered_as_columns_of_a_spreadsheet_are() -> None:
    expected = (
        "".join(word) for size in count(1) for word in product(ascii_lowercase, repeat=size)
    )
    names = [part_name(index) for index in range(1000)]
    assert names == list(islice(expected, 1000))


def test_a_whole_set_has_no_letter() -> None:
    assert part_name(None) == ""


@pytest.mark.parametrize(
    ("slices", "name"),
    [
        ([(12, "")], "12"),
        ([(12, "a")], "12-a"),
        ([(12, ""), (13, "")], "12+13"),
        ([(12, "b"), (13, "a")], "12-b+13-a"),
        ([(0, "aa"), (7, ""), (3, "a")], "0-aa+7+3-a"),
    ],
)
def test_a_batch_is_named_after_its_slices(slices: list[tuple[int, str]], name: str) -> None:
    rows = np.arange(2)
    origin = BatchOrigin(0, 0, tuple(Slice(number, rows, part) for number, part in slices))
    assert origin.name == name
    assert origin.set_numbers == tuple(number for number, _ in slices)
    assert origin.num_rows == 2 * len(slices)


def test_slices_with_equal_rows_are_equal() -> None:
    one, other = (Slice(1, np.array([2, 0]), "a") for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert BatchOrigin(0, 1, (one,)) == BatchOrigin(0, 1, (other,))


@pytest.mark.parametrize(
    "other",
    [
        Slice(2, np.array([2, 0]), "a"),
        Slice(1, np.array([0, 2]), "a"),
        Slice(1, np.array([2]), "a"),
        Slice(1, np.array([2, 0])),
        "1-a",
    ],
)
def test_slices_that_differ_are_not_equal(other: object) -> None:
    assert Slice(1, np.array([2, 0]), "a") != other


@pytest.mark.parametrize(
    ("index", "is_first", "is_last"), [(0, True, False), (1, False, False), (2, False, True)]
)
def test_a_window_knows_whether_a_batch_begins_or_ends_with_it(
    index: int, is_first: bool, is_last: bool
) -> None:
    window = Window(index, 3)
    assert (window.is_first, window.is_last) == (is_first, is_last)


def test_the_only_window_is_first_and_last() -> None:
    assert (Window(0, 1).is_first, Window(0, 1).is_last) == (True, True)


def test_windows_tell_batches_of_the_same_rows_apart() -> None:
    slices = (Slice(1, np.arange(2)),)
    one, other = (BatchOrigin(0, 3, slices, window=Window(index, 2)) for index in (0, 1))
    assert one != other
    assert one.name == other.name == "1"
    assert BatchOrigin(0, 3, slices).window is None


class Noted:
    """Has one batch, and notes what it is asked."""

    def __init__(self, *, is_repeated: bool = False, window: Window | None = None) -> None:
        self._is_repeated, self._window = is_repeated, window
        self.asked: list[str] = []

    def set_numbers(self, batch_index: int) -> tuple[int, ...]:
        self.asked.append(f"sets of {batch_index}")
        return (7,)

    def slices(self, batch_index: int) -> tuple[Slice, ...]:
        self.asked.append(f"slices of {batch_index}")
        return (Slice(7, np.array([2, 0]), "b"),)

    def is_repeated(self, batch_index: int) -> bool:
        self.asked.append(f"whether {batch_index} is repeated")
        return self._is_repeated

    def window(self, batch_index: int) -> Window | None:
        self.asked.append(f"window of {batch_index}")
        return self._window


def test_what_is_known_of_a_planned_batch_is_worked_out_when_it_is_asked_for() -> None:
    noted = Noted(window=Window(1, 2))
    planned = PlannedOrigin(1, 9, noted)
    assert noted.asked == []
    assert (planned.set_numbers, noted.asked) == ((7,), ["sets of 9"])
    assert (planned.name, planned.num_rows) == ("7-b", 2)
    assert noted.asked == ["sets of 9", "slices of 9"]
    assert (planned.is_repeated, planned.window) == (False, Window(1, 2))
    assert noted.asked[2:] == ["whether 9 is repeated", "window of 9"]


def test_a_planned_batch_equals_one_that_was_worked_out() -> None:
    planned = PlannedOrigin(1, 9, Noted(window=Window(1, 2)))
    plain = BatchOrigin(1, 9, planned.slices, window=Window(1, 2))
    assert planned == plain
    assert plain == planned
    assert hash(planned) == hash(plain)
    assert planned != BatchOrigin(1, 9, planned.slices)
    assert planned != BatchOrigin(1, 9, planned.slices, is_repeated=True, window=Window(1, 2))


@pytest.mark.parametrize("name", ["epoch", "batch_index", "slices", "is_repeated", "window"])
def test_a_planned_batch_is_not_to_be_changed(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(PlannedOrigin(1, 9, Noted()), name, 2)


def test_a_planned_batch_goes_to_other_processes_without_its_plan() -> None:
    planned = PlannedOrigin(1, 9, Noted(is_repeated=True))
    sent = pickle.loads(pickle.dumps(planned))
    assert type(sent) is BatchOrigin
    assert sent == planned
    assert sent.is_repeated


def test_rows_have_their_sets_and_places() -> None:
    sets, rows = rows_of([Slice(7, np.array([3, 1])), Slice(2, np.array([0]))])
    assert (sets.tolist(), rows.tolist()) == ([7, 7, 2], [3, 1, 0])
    assert [part.tolist() for part in rows_of([])] == [[], []]

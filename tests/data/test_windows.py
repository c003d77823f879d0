from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leyden import TimeWindows
from leyden.errors import ConfigError, DataError

often = settings(max_examples=150, deadline=None, derandomize=True)


def spans(windows: TimeWindows, time: int, epoch: int = 0) -> list[tuple[int, int]]:
    return [windows.span(epoch, index) for index in range(windows.count(time, epoch))]


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        (TimeWindows(25), [(0, 25), (25, 50), (50, 75), (75, 100)]),
        (TimeWindows(25, starts=(10,)), [(10, 35), (35, 60), (60, 85)]),
        (TimeWindows(25, stride=10), [(begin, begin + 25) for begin in range(0, 71, 10)]),
        (TimeWindows(25, stride=40), [(0, 25), (40, 65)]),
        (TimeWindows(100, stride=1), [(0, 100)]),
    ],
)
def test_windows_of_a_hundred_time_steps(
    windows: TimeWindows, expected: list[tuple[int, int]]
) -> None:
    assert spans(windows, 100) == expected


@often
@given(
    size=st.integers(1, 40),
    stride=st.none() | st.integers(1, 60),
    starts=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    more=st.integers(0, 200),
    epoch=st.integers(0, 9),
)
def test_windows_lie_within_the_row_a_stride_apart_and_as_many_as_fit(
    size: int, stride: int | None, starts: list[int], more: int, epoch: int
) -> None:
    windows, time = TimeWindows(size, stride, starts), size + max(starts) + more
    found = spans(windows, time, epoch)
    step = size if stride is None else stride
    assert found[0][0] == starts[epoch % len(starts)]
    assert [begin for begin, _ in found] == [found[0][0] + step * i for i in range(len(found))]
    assert all(end - begin == size for begin, end in found)
    assert found[-1][1] <= time < found[-1][1] + step


@pytest.mark.parametrize(
    ("windows", "epoch", "time", "problem"),
    [
        (TimeWindows(25), 0, 24, "a window of 25 time steps, but got 24[.] Lower `size`"),
        (TimeWindows(25), 0, 0, "a window of 25 time steps, but got 0"),
        (TimeWindows(25, starts=(0, 10)), 3, 34, "time steps that begins at 10, but got 34"),
    ],
)
def test_rows_shorter_than_a_window_are_refused(
    windows: TimeWindows, epoch: int, time: int, problem: str
) -> None:
    with pytest.raises(DataError, match=f"Expected rows to be at least as long as .*{problem}"):
        windows.count(time, epoch)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"size": 0}, "`size` to be a whole number from 1, but got 0"),
        ({"size": 2.0}, "`size` to be a whole number from 1, but got 2.0"),
        ({"size": 2, "stride": 0}, "`stride` to be a whole number from 1, but got 0"),
        ({"size": 2, "stride": True}, "`stride` to be a whole number from 1, but got True"),
        ({"size": 2, "starts": ()}, r"`starts` to be a list .* but got \(\). Pass \(0,\) to begin"),
        ({"size": 2, "starts": 3}, "`starts` to be a list of whole numbers, but got 3"),
        ({"size": 2, "starts": "12"}, "`starts` to be a list of whole numbers, but got '12'"),
        ({"size": 2, "starts": [0, -1]}, "`starts` to be a whole number from 0, but got -1"),
        ({"size": 2, "starts": [1.5]}, "`starts` to be a whole number from 0, but got 1.5"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=f"Expected {problem}"):
        TimeWindows(**arguments)
    with pytest.raises(ConfigError, match=f"Expected {problem}"):
        TimeWindows.of(arguments)


def test_arguments_may_come_by_name() -> None:
    made = TimeWindows.of({"size": 25, "stride": 10, "starts": [0, 5]})
    assert made is not None
    assert (made.size, made.stride, made.starts) == (25, 10, (0, 5))
    assert repr(made) == "TimeWindows(25, stride=10, starts=(0, 5))"
    assert TimeWindows.of(made) is made
    assert TimeWindows.of(None) is None


@pytest.mark.parametrize(
    ("windows", "problem"),
    [
        (25, "`windows` to be TimeWindows or their arguments, but got 25. Pass such as {'size': "),
        ("25", "`windows` to be TimeWindows or their arguments, but got '25'"),
        ({"stride": 5}, "`windows` to have a `size`, but it has none. Pass it"),
        (
            {"sizes": 5},
            "arguments of TimeWindows in `windows`, but got 'sizes'. Did you mean 'size",
        ),
    ],
)
def test_anything_else_is_refused(windows: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"Expected {problem}"):
        TimeWindows.of(windows)


def test_epochs_that_are_to_be_alike_begin_at_the_first_start() -> None:
    windows = TimeWindows(3, stride=2, starts=(4, 0)).alike
    assert [spans(windows, 10, epoch) for epoch in range(3)] == [[(4, 7), (6, 9)]] * 3


def test_arrays_as_long_as_the_first_are_cut() -> None:
    rows = {"a": (10, 3), "b": (10,), "c": (4, 10), "d": (), "e": (9, 3)}
    expected = {"a": (6, 3), "b": (6,), "c": (4, 10), "d": (), "e": (9, 3)}
    assert TimeWindows(6).shapes(rows) == expected


def test_the_input_that_is_too_short_is_named() -> None:
    problem = "rows of 'meta' to be .* window of 25 time steps, but got 3.*, or begin `inputs` with"
    with pytest.raises(DataError, match=problem):
        TimeWindows(25).shapes({"meta": (3,), "ecg": (100, 2)})


def test_rows_without_an_axis_of_time_are_refused() -> None:
    with pytest.raises(DataError, match="a window of 1 time steps, but got 0"):
        TimeWindows(1).shapes({"": ()})

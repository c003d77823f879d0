"""Arrays as text within a page."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leyden.report.embedding import pack_curves, pack_timeline, thin
from leyden.tracking import Ledger, LedgerRow, read_ledger
from leyden.types import Phase


def unpack(packed: dict[str, Any]) -> list[float]:
    if "count" in packed:
        stop = packed["start"] + packed["count"] * packed["stride"]
        return list(range(packed["start"], stop, packed["stride"]))
    content = base64.b64decode(packed["base64"])
    numbers: list[float] = np.frombuffer(content, f"<{packed['dtype']}").tolist()
    return numbers


def make_ledger(folder: Path, rows: list[LedgerRow]) -> Any:
    ledger = Ledger(folder / "batches.parquet")
    for row in rows:
        ledger.append(row)
    ledger.flush()
    return read_ledger(ledger.path)


def test_short_curves_stay_whole() -> None:
    assert thin(np.array([3.0, 1.0]), 2).tolist() == [0, 1]


numbers = st.floats(-1e6, 1e6) | st.just(float("nan")) | st.just(float("inf"))


@given(st.lists(numbers, min_size=1, max_size=60), st.integers(2, 20))
def test_what_stands_out_stays(values: list[float], limit: int) -> None:
    array = np.array(values)
    chosen = thin(array, limit)
    kept = array[chosen]
    assert sorted(set(chosen.tolist())) == chosen.tolist()
    assert {0, len(values) - 1} <= set(chosen.tolist())
    assert np.isnan(kept).any() == np.isnan(array).any()
    if not np.isnan(array).all():
        assert np.nanmin(kept) == np.nanmin(array)
        assert np.nanmax(kept) == np.nanmax(array)
    if len(values) > limit:
        assert len(chosen) <= 3 * max(1, limit // 2) + 2


def test_a_single_spike_in_a_long_curve_stays() -> None:
    values = np.sin(np.arange(100_000) / 1000)
    values[54_321] = 9.0
    assert 54_321 in thin(values, 1000)


def test_curves_come_back_and_share_axes() -> None:
    steps = np.array([0, 10, 20])
    history = {
        "a": (steps, np.array([1.0, np.nan, np.inf])),
        "b": (steps, np.array([4.0, 5.0, 6.0])),
        "c": (np.array([1, 2, 5]), np.array([1e-3, 1e30, 1e300])),
        "empty": (np.array([], dtype=int), np.array([])),
    }
    packed = pack_curves(history)
    a, b, c = packed.content["curves"]
    assert [curve["name"] for curve in (a, b, c)] == ["a", "b", "c"]
    assert [unpack(axis) for axis in packed.content["axes"]] == [[0, 10, 20], [1, 2, 5]]
    assert (a["axis"], b["axis"], c["axis"]) == (0, 0, 1)
    np.testing.assert_equal(unpack(a["values"]), [1.0, np.nan, np.inf])
    np.testing.assert_allclose(unpack(c["values"]), [1e-3, 1e30, np.inf], rtol=1e-6)
    assert (packed.kept, packed.total) == (9, 9)


def test_steps_beyond_32_bits_come_back() -> None:
    steps = np.array([1, 2**40, 2**41])
    packed = pack_curves({"a": (steps, np.zeros(3))})
    assert unpack(packed.content["axes"][0]) == steps.tolist()


def test_long_curves_are_thinned_and_short_ones_are_not() -> None:
    history = {
        "long": (np.arange(10_000), np.random.default_rng(0).normal(size=10_000)),
        "short": (np.arange(100), np.zeros(100)),
    }
    packed = pack_curves(history, max_numbers=2000)
    long, short = [len(unpack(curve["values"])) for curve in packed.content["curves"]]
    assert short == 100
    assert 400 < long < 1000
    assert (packed.kept, packed.total) == (long + 100, 10_100)


def test_timeline_has_an_entry_for_each_set_of_each_batch(tmp_path: Path) -> None:
    ledger = make_ledger(
        tmp_path,
        [
            LedgerRow(Phase.TRAIN, 0, 0, step=1, sets=(7, 3), loss=0.5),
            LedgerRow(Phase.TRAIN, 0, 1, step=2),
            LedgerRow(Phase.VAL, 0, 0, step=2, sets=(9,)),
            LedgerRow(Phase.TRAIN, 1, 0, step=4, sets=(3,), loss=0.25),
        ],
    )
    packed = pack_timeline(ledger)
    content = packed.content
    numbers, phases = unpack(content["numbers"]), content["phases"]
    assert numbers == [3, 7, 9]
    assert [numbers[int(index)] for index in unpack(content["set"])] == [7, 3, 9, 3]
    assert unpack(content["step"]) == [0, 0, 1, 3]  # from zero, as metrics count
    np.testing.assert_equal(unpack(content["loss"]), [0.5, 0.5, np.nan, 0.25])
    assert [phases[int(index)] for index in unpack(content["phase"])] == [
        *["train"] * 2,
        "val",
        "train",
    ]
    assert (packed.kept, packed.total) == (4, 4)


def test_timeline_without_known_sets_is_empty(tmp_path: Path) -> None:
    packed = pack_timeline(make_ledger(tmp_path, [LedgerRow(Phase.TRAIN, 0, 0, step=1)]))
    assert (packed.kept, packed.total) == (0, 0)


def test_long_timeline_is_a_choice_by_chance_that_is_always_the_same(tmp_path: Path) -> None:
    rows = [
        LedgerRow(Phase.TRAIN, 0, step, step=step + 1, sets=(step % 10,), loss=float(step))
        for step in range(1000)
    ]
    ledger = make_ledger(tmp_path, rows)
    packed, again = pack_timeline(ledger, max_entries=100), pack_timeline(ledger, max_entries=100)
    steps = unpack(packed.content["step"])
    assert packed.content == again.content
    assert (packed.kept, packed.total) == (100, 1000)
    assert steps == sorted(set(steps))
    assert unpack(packed.content["loss"]) == steps
    assert unpack(packed.content["numbers"]) == list(range(10))  # every k-th would be one set


@pytest.mark.parametrize(("count", "dtype"), [(300, "u2"), (70_000, "u4")])
def test_sets_are_counted_in_as_few_bytes_as_do(tmp_path: Path, count: int, dtype: str) -> None:
    row = LedgerRow(Phase.TRAIN, 0, 0, step=1, sets=tuple(range(0, 3 * count, 3)))
    content = pack_timeline(make_ledger(tmp_path, [row])).content
    assert content["set"]["dtype"] == dtype
    assert unpack(content["set"]) == list(range(count))
    assert content["numbers"] == {"start": 0, "stride": 3, "count": count}

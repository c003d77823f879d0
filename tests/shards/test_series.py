from pathlib import Path

import numpy as np
import pytest

from leyden.shards import Catalog, discover
from leyden.shards.series import NUM_STEPS, RHYTHMS, make_heartbeats, pack_series
from leyden.types import Array


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, Catalog]:
    folder = pack_series(tmp_path_factory.mktemp("data") / "timeseries")
    return discover(folder / "train"), discover(folder / "test")


def test_every_set_is_in_one_part(parts: tuple[Catalog, Catalog]) -> None:
    train, test = parts
    assert sorted(train.set_numbers + test.set_numbers) == list(range(1, 33))
    assert (train.num_samples, test.num_samples) == (1200, 400)


def test_the_parts_look_alike(parts: tuple[Catalog, Catalog]) -> None:
    for part in parts:
        assert (part.sample_shape, part.dtype) == ((96, 2), np.dtype(np.float32))
        assert (part.label_shape, part.label_dtype) == ((), np.dtype(np.int64))
        assert part.num_classes == 4


def test_what_exists_is_not_packed_again(tmp_path: Path) -> None:
    assert pack_series(tmp_path) == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_it_is_packed_alike_every_time(tmp_path: Path, parts: tuple[Catalog, Catalog]) -> None:
    folder = pack_series(tmp_path / "again")
    for name, part in zip(("train", "test"), parts, strict=True):
        again, rows = discover(folder / name), np.arange(50)
        for number in part.set_numbers:
            found, expected = again.open_data(number), part.open_data(number)
            np.testing.assert_array_equal(found.read(rows), expected.read(rows))
            np.testing.assert_array_equal(again.read_labels(number), part.read_labels(number))


def beats(series: Array) -> list[Array]:
    """Find when the first lead of each series rises to a peak."""
    high = series[:, :, 0] > 0.6
    return [np.flatnonzero(row[1:] & ~row[:-1]) for row in high]


def test_rhythms_are_what_they_are_called() -> None:
    series, rhythms = make_heartbeats(800, np.random.default_rng(1))
    assert (series.shape, series.dtype) == ((800, NUM_STEPS, 2), np.dtype(np.float32))
    assert np.bincount(rhythms).min() > 150
    of = {name: series[rhythms == number] for number, name in enumerate(RHYTHMS)}
    counts = {name: np.mean([len(found) for found in beats(rows)]) for name, rows in of.items()}
    assert counts["steady"] == pytest.approx(6, abs=0.6)  # 96 steps at intervals of 16
    assert counts["fast"] == pytest.approx(9, abs=0.9)
    assert counts["alternating"] == pytest.approx(6, abs=0.6)
    late = {name: rows[:, 72:, 0].max(axis=1).mean() for name, rows in of.items()}
    assert late["weakening"] < 0.5 * late["steady"]
    intervals = {name: np.concatenate([*map(np.diff, beats(rows))]) for name, rows in of.items()}
    even = np.abs(intervals["steady"] - 16) < 3  # an alternating one has 12 and 20
    assert even.mean() > 0.8
    assert (np.abs(intervals["alternating"] - 16) < 2).mean() < 0.2

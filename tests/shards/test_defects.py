"""Defects of an older system in writing data as numbered sets; none of them is here."""

from pathlib import Path

import numpy as np
import pytest

from leyden.errors import DataError
from leyden.shards import pack


# D53: the type of numbers was not kept.
@pytest.mark.parametrize("dtype", ["float64", "float16", "uint8", "int64"])
def test_numbers_and_labels_keep_their_types(tmp_path: Path, dtype: str) -> None:
    rows = np.arange(6).astype(dtype).reshape(3, 2)
    pack(rows, tmp_path / "d", labels=np.array([1, 0, 1], np.int16))
    assert np.load(tmp_path / "d" / "sample__1.npy").dtype == dtype
    assert np.load(tmp_path / "d" / "labels" / "sample__1.npy").dtype == np.int16


# D53: a shuffle left the user's own array shuffled, and kept the rows of a set together.
def test_rows_are_shuffled_one_by_one_and_not_in_place(tmp_path: Path) -> None:
    rows, labels = np.arange(40).reshape(20, 2), np.arange(20)
    given = rows.copy(), labels.copy()
    pack(rows, tmp_path / "d", labels=labels, rows_per_shard=5, shuffle_seed=1)
    assert np.array_equal(rows, given[0])
    assert np.array_equal(labels, given[1])
    sets = [np.load(tmp_path / "d" / f"sample__{n}.npy")[:, 0] // 2 for n in range(1, 5)]
    assert sorted(np.concatenate(sets)) == list(range(20))
    assert all(np.ptp(numbers) > 4 for numbers in sets)
    written = np.load(tmp_path / "d" / "labels" / "sample__1.npy")
    assert written.tolist() == sets[0].tolist()  # each row has kept its label


# D53: a file of labels that was there was overwritten without a word.
def test_labels_that_are_there_are_not_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "d" / "labels" / "sample__1.npy"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(DataError, match="to be a new or an empty folder"):
        pack(np.zeros((3, 2)), tmp_path / "d", labels=np.zeros(3))
    assert mine.read_bytes() == b"mine"

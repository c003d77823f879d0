from pathlib import Path

import numpy as np
import pytest

from leyden.errors import ConfigError, DataError
from leyden.shards import discover, write_shards
from leyden.shards.write import create_folder


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_written_shards_are_discovered_as_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    inputs = {number: rng.normal(size=(number, 3, 2)) for number in (2, 1, 10)}
    labels = {number: rng.integers(0, 4, number) for number in inputs}
    write_shards(tmp_path / "new" / "d", inputs, labels=labels, base="ecg_")
    catalog = discover(tmp_path / "new" / "d")
    assert names_in(catalog.path) == {"ecg_1.npy", "ecg_2.npy", "ecg_10.npy", "labels.npz"}
    assert catalog.set_numbers == (1, 2, 10)
    for number, array in inputs.items():
        rows = catalog.open_data(number).read(np.arange(number))
        np.testing.assert_array_equal(rows, array)
        np.testing.assert_array_equal(catalog.read_labels(number), labels[number])


def test_shards_can_be_written_without_labels(tmp_path: Path) -> None:
    write_shards(tmp_path, {1: np.zeros(2)})
    assert names_in(tmp_path) == {"sample__1.npy"}


@pytest.mark.parametrize("broken", ["save", "savez"])
def test_a_failing_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    write_shards(tmp_path, {1: np.zeros(2)}, labels={1: np.zeros(2)})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(path: Path, *_: object, **__: object) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, broken, fail)
    with pytest.raises(OSError, match="disk full"):
        write_shards(tmp_path, {1: np.ones(2)} if broken == "save" else {}, labels={1: np.ones(2)})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("where", ["inputs", "labels"])
def test_objects_are_not_written(tmp_path: Path, where: str) -> None:
    arrays = {"inputs": {1: np.zeros(1)}, "labels": {1: np.zeros(1)}}
    arrays[where] = {3: np.array([None])}
    with pytest.raises(DataError, match="Expected numbers in set 3, but got Python objects"):
        write_shards(tmp_path / "d", arrays["inputs"], labels=arrays["labels"])
    assert not (tmp_path / "d").exists()


def test_a_base_that_ends_in_a_digit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`base` not to end in a digit, but got 'b1'"):
        write_shards(tmp_path, {0: np.zeros(1)}, base="b1")


def test_a_folder_is_made_whole_with_its_parents(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert create_folder(folder, lambda path: (path / "x").touch()) == folder
    assert names_in(folder) == {"x"}
    assert names_in(folder.parent) == {"b"}
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    def fail(_: Path) -> None:
        pytest.fail("filled again")

    assert create_folder(tmp_path, fail) == tmp_path
    assert names_in(tmp_path) == set()


def test_a_failure_leaves_no_folder(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        (path / "half").touch()
        raise ValueError("cannot fill")

    with pytest.raises(ValueError, match="cannot fill"):
        create_folder(tmp_path / "d", fail)
    assert names_in(tmp_path) == set()


def test_of_two_who_make_one_folder_both_succeed(tmp_path: Path) -> None:
    folder = tmp_path / "d"

    def fill(path: Path) -> None:
        (path / "mine").touch()

    def fill_slowly(path: Path) -> None:
        (path / "late").touch()
        assert create_folder(folder, fill) == folder  # the other one comes first

    assert create_folder(folder, fill_slowly) == folder
    assert (names_in(folder), names_in(tmp_path)) == ({"mine"}, {"d"})


def test_a_folder_that_cannot_be_put_in_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "d").touch()
    with pytest.raises(OSError, match="Not a directory"):
        create_folder(tmp_path / "d", lambda _: None)
    assert names_in(tmp_path) == {"d"}


def test_the_folder_may_be_a_text(tmp_path: Path) -> None:
    write_shards(str(tmp_path / "d"), {1: np.zeros((2, 3))})
    assert discover(str(tmp_path / "d")).num_samples == 2

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from leyden.errors import ShardError
from leyden.shards import discover, formats, headers, pieces, register_format
from leyden.shards.headers import Headers, memory_of
from leyden.shards.readers import NpyReader

Write: TypeAlias = Callable[[Mapping[str, object]], Path]

FILES = {
    "a1.npy": 3,
    "a2.npy": 2,
    "labels/1.csv": "y\n0\n1\n2\n",
    "labels/2.csv": "y\n0\n1\n",
}


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let every discovery be remembered, and note which files are opened for it."""
    names: list[str] = []

    def note(path: Path, *args: Any, **options: Any) -> Any:
        names.append(path.name)
        return formats.open_array(path, *args, **options)

    monkeypatch.setattr(headers, "_WORTH", 0.0)
    monkeypatch.setattr(pieces, "open_array", note)
    return names


def test_nothing_is_opened_again_that_has_not_changed(write: Write, opened: list[str]) -> None:
    folder = write(FILES)
    first = discover(folder)
    assert opened == ["a1.npy", "a2.npy", "1.csv", "2.csv"]
    opened.clear()
    assert discover(folder) == first
    assert opened == []
    assert first.read_labels(1).tolist() == [0, 1, 2]


def test_a_file_that_has_changed_is_opened_again(write: Write, opened: list[str]) -> None:
    folder = write(FILES)
    discover(folder)
    opened.clear()
    write({"a2.npy": 4, "labels/2.csv": "y\n0\n1\n2\n3\n"})
    catalog = discover(folder)
    assert (opened, catalog.lengths) == (["a2.npy", "2.csv"], {1: 3, 2: 4})
    assert discover(folder) == catalog


def test_a_folder_keeps_its_memory_when_it_moves(write: Write, opened: list[str]) -> None:
    folder = write(FILES)
    before = discover(folder)
    opened.clear()
    moved = discover(folder.rename(folder.with_name("elsewhere")))
    assert (opened, moved.fingerprint) == ([], before.fingerprint)
    assert moved.shards[0].data.path == folder.with_name("elsewhere") / "a1.npy"


def test_the_memory_is_no_shard_and_is_not_told_of(write: Write) -> None:
    folder = write(FILES)
    facts = discover(folder).facts
    assert memory_of(folder).is_file()
    assert discover(folder).facts == facts
    assert discover(folder / "a1.npy", labels=None).num_samples == 3
    assert memory_of(folder / "a1.npy").name == ".a1.npy.leyden-catalog.json"
    assert discover(folder).facts == facts


def test_what_is_gone_is_forgotten(write: Write) -> None:
    folder = write(FILES)
    discover(folder)
    (folder / "a2.npy").unlink()
    (folder / "labels/2.csv").unlink()
    write({"a1.npy": 1, "labels/1.csv": "y\n0\n"})
    discover(folder)
    names = json.loads(memory_of(folder).read_text())["files"]
    assert sorted(names) == ["a1.npy", "labels/1.csv"]


def test_two_readings_of_one_folder_share_the_memory(write: Write, opened: list[str]) -> None:
    folder = write({"x1.npy": 1, "y1.npy": 1})
    for pattern in ("x*", "y*"):
        discover(folder, pattern=pattern)
    opened.clear()
    for pattern in ("x*", "y*"):
        discover(folder, pattern=pattern)
    assert opened == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00garbage",
        b"[" * 100_000,
        b"[]",
        b'{"version": 2}',
        b'{"version": 1, "files": {}}',
        b'{"version": 2, "files": {"a1.npy": 3}}',
        b'{"version": 2, "files": {"a1.npy": [[0, 0], {}, {"null": [[], "<f4"]}]}}',
        b'{"version": 2, "files": {"a1.npy": [[0, 0], {}, {"null": [["x"], "<f4"]}]}}',
        b'{"version": 2, "files": {"a1.npy": [[0, 0], {}, {"null": [[1], "nonsense"]}]}}',
        b'{"version": 2, "files": {"a1.npy": [[0, 0], [], {}]}}',
    ],
)
def test_a_memory_that_is_spoilt_is_ignored_and_replaced(
    write: Write, opened: list[str], content: bytes
) -> None:
    folder = write(FILES)
    first = discover(folder)
    memory_of(folder).write_bytes(content)
    opened.clear()
    assert discover(folder) == first
    assert len(opened) == 4
    assert len(json.loads(memory_of(folder).read_text())["files"]) == 4


def test_a_memory_that_lies_is_found_out_before_a_row_is_read(write: Write) -> None:
    folder = write({"a1.npy": 3})
    discover(folder)
    memory = memory_of(folder)
    memory.write_text(memory.read_text().replace("[3, 2]", "[9, 2]"))
    with pytest.raises(ShardError, match=r"^Set 1: Expected float32 \(9, 2\), .* got .* \(3, 2\)"):
        discover(folder).open_data(1)


def test_a_folder_that_cannot_be_written_to_is_read_all_the_same(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(headers, "replacing", refuse)
    folder = write(FILES)
    assert discover(folder).num_samples == 5
    assert not memory_of(folder).exists()


def test_what_is_quickly_read_is_not_remembered(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headers, "_WORTH", 60.0)
    folder = write(FILES)
    discover(folder)
    assert not memory_of(folder).exists()


def test_formats_and_readers_of_others_are_asked_each_time(
    write: Write, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(formats._FORMATS, ".dat", formats._FORMATS[".npy"])  # undone afterwards
    register_format(".dat", NpyReader)
    folder = write({"a1.npy": 3})
    (folder / "a1.npy").rename(folder / "a1.dat")
    for _ in range(2):
        discover(folder)
        discover(folder, reader=NpyReader)
    assert opened == ["a1.dat"] * 4


def test_keys_of_every_kind_are_remembered(write: Write) -> None:
    folder = write({"a1.csv": "u,v,y\n1,2,0\n", "b1.npz": {"x": [1.5]}, "c1.csv": "1,2\n"})
    asked = Headers(memory_of(folder))
    keys = [(folder / "a1.csv", key) for key in ("y", ("u", "v"), ("v",), None)]
    keys += [(folder / "b1.npz", "x"), (folder / "c1.csv", None)]
    first = [asked.measure(path, key) for path, key in keys]
    names = [(asked.keys(path), asked.headings(path)) for path, _ in keys]
    asked.save()
    again = Headers(memory_of(folder))
    assert [again.measure(path, key) for path, key in keys] == first
    assert [(again.keys(path), again.headings(path)) for path, _ in keys] == names
    assert first[0].dtype == np.dtype(np.int64)

import errno
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset
from typing_extensions import override

from leyden.data import AutoDataModule
from leyden.errors import ConfigError, DataError, LeydenError, WriteError
from leyden.shards import Catalog, pack, read_manifest, verify_pack
from leyden.shards.journal import journaling
from leyden.shards.sources import Block, Source
from leyden.types import Array

INPUTS = np.random.default_rng(0).normal(size=(95, 6)).astype(np.float32)
CLASSES = np.arange(95) % 3


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def rows_of(catalog: Catalog) -> tuple[Array, Array]:
    """All rows and all labels, in the order of the sets."""
    lengths = catalog.lengths.items()
    inputs = [catalog.open_data(number).read(np.arange(rows)) for number, rows in lengths]
    return np.concatenate(inputs), np.concatenate(
        [catalog.read_labels(number) for number, _ in lengths]
    )


def pack_points(folder: Path, **arguments: Any) -> Catalog:
    return pack(INPUTS, folder, labels=CLASSES, rows_per_shard=10, **arguments)


def staging(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.packing")


def test_rows_and_labels_come_back_in_their_order(tmp_path: Path) -> None:
    catalog = pack_points(tmp_path / "new" / "d", base="point_")
    inputs, labels = rows_of(catalog)
    np.testing.assert_array_equal(inputs, INPUTS)
    np.testing.assert_array_equal(labels, CLASSES)
    assert catalog.lengths == {**dict.fromkeys(range(1, 10), 10), 10: 5}
    expected = {
        f"{place}point_{number}.npy" for number in range(1, 11) for place in ("", "labels/")
    }
    assert content(tmp_path / "new" / "d").keys() == expected | {"manifest.json"}
    assert names_in(tmp_path / "new") == {"d"}


def test_labels_are_not_needed_and_those_of_another_folder_not_taken(tmp_path: Path) -> None:
    np.save(tmp_path / "d_labels.npy", CLASSES)
    assert not pack(INPUTS, tmp_path / "d").has_labels


def test_a_manifest_says_what_was_packed(tmp_path: Path) -> None:
    pack_points(tmp_path / "d")
    manifest = read_manifest(tmp_path / "d")
    assert manifest.num_rows == 95
    assert manifest.recipe["rows_per_shard"] == 10
    assert manifest.recipe["source"]["shape"] == [95, 6]
    last = manifest.files["sample__10.npy"]
    assert (last.shape, last.dtype) == ((5, 6), "float32")
    assert last.size == (tmp_path / "d" / "sample__10.npy").stat().st_size


def test_a_short_last_shard_is_filled_up_with_rows_that_there_are(tmp_path: Path) -> None:
    catalog = pack_points(tmp_path / "d", oversample_last=True)
    inputs, labels = rows_of(catalog)
    assert set(catalog.lengths.values()) == {10}
    np.testing.assert_array_equal(inputs[:95], INPUTS)
    originals = [np.flatnonzero((row == INPUTS).all(axis=1)).item() for row in inputs[95:]]
    assert len(set(originals)) == 5  # of all rows, none drawn twice
    assert min(originals) < 90
    np.testing.assert_array_equal(labels[95:], CLASSES[originals])


@pytest.mark.parametrize(("oversample", "last"), [(True, 32), (False, 1)])
def test_no_row_is_lost_where_rows_do_not_fill_the_shards(
    tmp_path: Path, *, oversample: bool, last: int
) -> None:
    catalog = pack(np.arange(161), tmp_path / "d", rows_per_shard=32, oversample_last=oversample)
    assert catalog.lengths == {1: 32, 2: 32, 3: 32, 4: 32, 5: 32, 6: last}


def test_a_shard_longer_than_all_rows_repeats_them(tmp_path: Path) -> None:
    catalog = pack(INPUTS[:2], tmp_path / "d", rows_per_shard=7, oversample_last=True)
    assert catalog.lengths == {1: 7}


def test_a_seed_draws_the_order(tmp_path: Path) -> None:
    inputs, labels = rows_of(pack_points(tmp_path / "d", shuffle_seed=3))
    order = np.random.default_rng(3).permutation(95)
    np.testing.assert_array_equal(inputs, INPUTS[order])
    np.testing.assert_array_equal(labels, CLASSES[order])


def test_a_stream_is_shuffled_in_memory(tmp_path: Path) -> None:
    stream = (row for row in INPUTS)
    catalog = pack(stream, tmp_path / "d", rows_per_shard=10, shuffle_seed=3)
    order = np.random.default_rng(3).permutation(95)
    first = catalog.open_data(1).read(np.arange(10))
    np.testing.assert_array_equal(first, INPUTS[order[:10]])


def test_numbers_are_stored_in_the_byte_order_of_the_machine(tmp_path: Path) -> None:
    catalog = pack(INPUTS.astype(">f4"), tmp_path / "d")
    np.testing.assert_array_equal(np.load(tmp_path / "d" / "sample__1.npy"), INPUTS)
    assert np.load(tmp_path / "d" / "sample__1.npy").dtype.isnative
    assert catalog.dtype == np.dtype(np.float32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows_per_shard": 0}, "`rows_per_shard` to be at least 1, but got 0"),
        ({"rows_per_shard": 1.5}, "`rows_per_shard` to be a whole number, but got 1.5"),
        ({"path": None}, "`path` to be the path of a folder or a file, but got None"),
        ({"base": None}, "`base` to be text, but got None"),
        ({"base": "x1"}, "`base` not to end in a digit, but got 'x1'"),
        ({"base": "a/b"}, "`base` to be the beginning of a name that is not hidden"),
        ({"base": ".a"}, "`base` to be the beginning of a name that is not hidden"),
        ({"shuffle_seed": True}, "`shuffle_seed` to be a whole number from 0, or None"),
        ({"shuffle_seed": -1}, "`shuffle_seed` to be a whole number from 0, or None"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_made(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        pack(INPUTS, **{"path": tmp_path / "d", **arguments})
    assert names_in(tmp_path) == set()


def test_progress_is_told_after_every_shard(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    pack(INPUTS, tmp_path / "d", rows_per_shard=40, progress=lambda *rows: told.append(rows))
    assert told == [(0, 95), (40, 95), (80, 95), (95, 95)]


def test_what_is_packed_already_is_left_alone(tmp_path: Path) -> None:
    pack_points(tmp_path / "d")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    staging(tmp_path / "d").mkdir()  # as a kill right after the end leaves it
    told: list[tuple[int, int | None]] = []
    pack_points(tmp_path / "d", progress=lambda *rows: told.append(rows))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert told == []


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"rows_per_shard": 20}, "on disk: rows_per_shard=10\nasked: rows_per_shard=20\n"),
        ({"base": "x_"}, "on disk: base='sample__'\nasked: base='x_'\n"),
        (
            {"shuffle_seed": 1},
            "on disk: source.shuffle_seed=None\nasked: source.shuffle_seed=1\n",
        ),
        ({"source": INPUTS + 1}, "on disk: source.digest='[0-9a-f]+'\nasked: source.digest='"),
        ({"labels": None}, "on disk: source.labels.dtype='int64', .*\nasked: source.labels.dtype"),
    ],
)
def test_another_call_for_a_packed_folder_is_refused(
    tmp_path: Path, change: dict[str, Any], lines: str
) -> None:
    pack_points(tmp_path / "d")
    before = content(tmp_path)
    call: dict[str, Any] = {"source": INPUTS, "labels": CLASSES, "rows_per_shard": 10}
    with pytest.raises(DataError, match=f"in one way, but they differ.\n{lines}") as caught:
        pack(path=tmp_path / "d", **{**call, **change})
    assert f"Pass another folder, or remove {tmp_path / 'd'}." in str(caught.value)
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["notes.txt", "sample__1.npy"])
def test_a_folder_with_other_content_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"a new or an empty folder, but got .*without a manifest"):
        pack(INPUTS, tmp_path)


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("d")
    assert pack(INPUTS, tmp_path / "link").num_samples == 95
    assert (tmp_path / "link").is_symlink()


class Points(Source):
    """The points in pieces of seven, up to a row at which reading fails."""

    def __init__(self, stop: int = 95, name: str = "points") -> None:
        self.stop, self.name, self.starts = stop, name, list[int]()

    @override
    def describe(self) -> dict[str, Any]:
        return {"kind": self.name}

    @override
    def blocks(self, start: int, size: int) -> Iterator[Block]:
        self.starts.append(start)
        for begin in range(start, 95, 7):
            if begin >= self.stop:
                raise RuntimeError("cable loose")
            yield Block(INPUTS[begin : begin + 7], CLASSES[begin : begin + 7])


def interrupt(folder: Path, stop: int = 45) -> None:
    with pytest.raises(RuntimeError, match="cable loose"):
        pack(Points(stop), folder, rows_per_shard=10)
    assert not folder.exists()


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    """The files of a pack that nothing interrupts."""
    pack(Points(), tmp_path / "whole", rows_per_shard=10)
    files = content(tmp_path / "whole")
    shutil.rmtree(tmp_path / "whole")
    return files


def test_an_interrupted_pack_goes_on_with_the_next_shard(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    folder = tmp_path / "d"
    interrupt(folder)
    first = staging(folder) / "content" / "sample__1.npy"
    written = first.stat().st_ino, first.stat().st_mtime_ns
    source, told = Points(), list[int]()
    pack(source, folder, rows_per_shard=10, progress=lambda done, _: told.append(done))
    assert source.starts == [40]
    assert told[:2] == [40, 50]
    moved = (folder / "sample__1.npy").stat()
    assert (moved.st_ino, moved.st_mtime_ns) == written
    assert content(folder) == whole
    assert names_in(tmp_path) == {"d"}


@pytest.mark.parametrize("name", ["sample__2.npy", "labels/sample__2.npy"])
@pytest.mark.parametrize("damage", ["missing", "shorter", "other"])
def test_a_shard_that_is_not_as_it_was_written_is_written_again(
    tmp_path: Path, whole: dict[str, bytes], name: str, damage: str
) -> None:
    interrupt(tmp_path / "d")
    path = staging(tmp_path / "d") / "content" / name
    original = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(original[:-1] + (b"x" if damage == "other" else b""))
    source = Points()
    pack(source, tmp_path / "d", rows_per_shard=10)
    assert source.starts == [10]
    assert content(tmp_path / "d") == whole


def test_what_a_kill_leaves_half_written_does_not_stay(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    interrupt(tmp_path / "d")
    (staging(tmp_path / "d") / "content" / ".99-sample__5.npy").write_bytes(b"half")
    (staging(tmp_path / "d") / "content" / "sample__5.npy").write_bytes(b"not in the journal")
    with (staging(tmp_path / "d") / "journal.jsonl").open("a") as file:
        file.write('{"sample__5.npy": {"si')
    source = Points()
    pack(source, tmp_path / "d", rows_per_shard=10)
    assert source.starts == [40]
    assert content(tmp_path / "d") == whole


@pytest.mark.parametrize(
    ("line", "starts"),
    [(0, 0), (1, 0), (3, 20)],  # the first is the recipe
)
@pytest.mark.parametrize("damage", [b"\xff", b"5", b'{"sample__1.npy": 5}', b"{}", b'{"a": {}}'])
def test_a_damaged_journal_holds_up_to_the_damage(
    tmp_path: Path, whole: dict[str, bytes], line: int, starts: int, damage: bytes
) -> None:
    interrupt(tmp_path / "d")
    journal = staging(tmp_path / "d") / "journal.jsonl"
    lines = journal.read_bytes().splitlines()
    lines[line] = damage if line or damage[0] != ord("{") else b"{"
    journal.write_bytes(b"\n".join(lines) + b"\n")
    source = Points()
    pack(source, tmp_path / "d", rows_per_shard=10)
    assert source.starts == [starts]
    assert content(tmp_path / "d") == whole


@pytest.mark.parametrize("name", ["lock", "journal.jsonl", "content"])
def test_what_is_of_another_kind_than_it_was_left_is_told(
    tmp_path: Path, whole: dict[str, bytes], name: str
) -> None:
    interrupt(tmp_path / "d")
    path = staging(tmp_path / "d") / name
    is_file = path.is_file()
    path.rename(path.with_name("away"))
    path.mkdir() if is_file else path.touch()
    kind = "file" if is_file else "folder"
    expected = (
        rf"{name} to be a {kind}, as it was left, but it is none\. Remove .*\.d\.packing, and"
    )
    with pytest.raises(DataError, match=expected):
        pack(Points(), tmp_path / "d", rows_per_shard=10)
    shutil.rmtree(staging(tmp_path / "d"))
    pack(Points(), tmp_path / "d", rows_per_shard=10)
    assert content(tmp_path / "d") == whole


def test_going_on_in_another_way_is_refused(tmp_path: Path) -> None:
    interrupt(tmp_path / "d")
    lines = "on disk: source.kind='points'\nasked: source.kind='others'\n"
    with pytest.raises(DataError, match=f"{lines}.*remove .*/.d.packing"):
        pack(Points(name="others"), tmp_path / "d", rows_per_shard=10)
    assert pack(Points(), tmp_path / "d", rows_per_shard=10).num_samples == 95


def test_a_failure_before_the_first_shard_leaves_nothing(tmp_path: Path) -> None:
    interrupt(tmp_path / "d", stop=0)
    assert names_in(tmp_path) == set()


def test_two_do_not_pack_one_folder_at_the_same_time(tmp_path: Path) -> None:
    def pack_too(_done: int, _all: int | None) -> None:
        with pytest.raises(DataError, match=r"only one that packs .*d, but another process does"):
            pack_points(tmp_path / "d")

    assert pack_points(tmp_path / "d", progress=pack_too).num_samples == 95


def pack_until_killed(folder: Path, num_events: int) -> None:
    """Pack, and be killed when files have been opened, made, moved or removed so many times."""
    left = num_events

    def count(event: str, _arguments: object) -> None:
        nonlocal left
        if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    pack(Points(), folder, rows_per_shard=10)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("seed", range(4))
def test_a_pack_that_is_killed_again_and_again_ends_as_if_it_never_was(
    tmp_path: Path, whole: dict[str, bytes], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    codes: list[int | None] = []
    while codes[-1:] != [0]:
        assert len(codes) < 100
        # Later attempts live longer: checking what is there takes its steps too.
        num_events = int(rng.integers(1, 30)) + 4 * len(codes)
        child = multiprocessing.get_context("fork").Process(
            target=pack_until_killed, args=(tmp_path / "d", num_events)
        )
        child.start()
        child.join(60)
        codes.append(child.exitcode)
        # Nobody takes a part for the whole.
        assert not (tmp_path / "d").exists() or content(tmp_path / "d") == whole
    assert len(codes) > 3
    assert set(codes[:-1]) == {-signal.SIGKILL}
    pack(Points(), tmp_path / "d", rows_per_shard=10)
    assert content(tmp_path) == {f"d/{name}": data for name, data in whole.items()}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 KiB, if this user may make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "leyden-test", str(disk)]
    if (
        not shutil.which("mount")
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("mounting a disk is not allowed")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_leaves_no_half_file_and_packing_goes_on_when_there_is_room(
    small_disk: Path, whole: dict[str, bytes]
) -> None:
    folder = small_disk / "d"
    with pytest.raises(DataError, match=r"room for the next shard.*No space left.*Make room"):
        pack(Points(), folder, rows_per_shard=10)
    assert names_in(small_disk) == {".d.packing"}
    left = content(staging(folder) / "content")
    assert 0 < len(left) < len(whole)
    assert all(whole[name] == data for name, data in left.items())
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    source = Points()
    pack(source, folder, rows_per_shard=10)
    assert source.starts[0] >= 10
    assert content(folder) == whole


@pytest.mark.parametrize("num_files", [1, 2])  # of the disk itself, and of the hidden folder
def test_a_disk_without_room_for_a_first_file_is_told_likewise(
    small_disk: Path, num_files: int
) -> None:
    remount = ["mount", "-o", f"remount,nr_inodes={num_files}", str(small_disk)]
    subprocess.run(remount, check=True)
    with pytest.raises(DataError, match=r"No space left.* \(0 shards of .*d are written\)\. Make"):
        pack(INPUTS, small_disk / "d")
    assert names_in(small_disk) == set()


def test_packing_into_a_whole_disk_is_refused_at_once(small_disk: Path) -> None:
    with pytest.raises(DataError, match=r"can be replaced, but .*/disk is a disk. Pass a folder"):
        pack(Points(), small_disk)


def test_packing_into_the_current_folder_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d").mkdir()
    monkeypatch.chdir(tmp_path / "d")
    for path in (".", tmp_path / "d"):
        with pytest.raises(DataError, match=r"can be replaced, but .*/d is the current one\. Pass"):
            pack(Points(), path)
    assert names_in(tmp_path) == {"d"}
    assert len(pack(Points(), "in_it", rows_per_shard=10).shards) == 10


@pytest.mark.parametrize("limit", [200, 1200])  # too little for a shard, and for the journal
def test_a_limit_on_file_sizes_is_told_like_a_full_disk(
    tmp_path: Path, whole: dict[str, bytes], limit: int
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(DataError, match=r"room for the next shard, but got: File too large"):
            pack(Points(), tmp_path / "d", rows_per_shard=10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert staging(tmp_path / "d").exists() == (limit > 1000)
    pack(Points(), tmp_path / "d", rows_per_shard=10)
    assert content(tmp_path / "d") == whole


def test_other_errors_of_the_system_are_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        pack(INPUTS, tmp_path / "d")


def test_memory_stays_within_a_few_shards(tmp_path: Path) -> None:
    row = np.zeros(2**14)  # 128 KiB
    stream = (row + index for index in range(400))  # 50 MiB
    tracemalloc.start()
    try:
        pack(stream, tmp_path / "d", rows_per_shard=10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * 10 * row.nbytes


def test_a_packed_folder_trains(tmp_path: Path) -> None:
    dataset = TensorDataset(torch.from_numpy(INPUTS), torch.from_numpy(CLASSES))
    catalog = pack(dataset, tmp_path / "d", rows_per_shard=10)
    verify_pack(tmp_path / "d")
    data = AutoDataModule(tmp_path / "d", val=0.2, batch_size=16)
    data.setup("fit")
    first = next(iter(data.train_dataloader()))
    assert [tuple(torch.as_tensor(part).shape) for part in first] == [(16, 6), (16,)]
    assert catalog.num_classes == 3


def test_of_two_that_begin_together_the_later_finds_the_work_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, bytes]
) -> None:
    def journal_late(target: Path, recipe: Any) -> Any:
        monkeypatch.undo()
        pack(Points(), tmp_path / "d", rows_per_shard=10)  # the other one
        return journaling(target, recipe)

    monkeypatch.setattr("leyden.shards.packing.journaling", journal_late)
    source = Points()
    pack(source, tmp_path / "d", rows_per_shard=10)
    assert source.starts == []
    assert content(tmp_path) == {f"d/{name}": data for name, data in whole.items()}


@pytest.mark.parametrize(
    ("name", "reason"),
    [("rows.npy/shards", "is a file"), ("nul\0", "no file can"), ("x" * 300, "too long")],
)
def test_a_folder_that_cannot_be_is_told_in_words(tmp_path: Path, name: str, reason: str) -> None:
    np.save(tmp_path / "rows.npy", np.zeros((4, 2)))
    with pytest.raises(WriteError, match=f"(?s)a place that can be written to, but got.*{reason}"):
        pack(tmp_path / "rows.npy", tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.npy"]


@pytest.mark.parametrize("name", ["circle", "circle/below"])
def test_links_in_a_circle_lead_to_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(
        LeydenError, match=r"circle.*(lead in a circle|Pass another|Choose another)"
    ):
        pack(INPUTS, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["circle"]

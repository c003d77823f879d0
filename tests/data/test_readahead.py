import errno
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import enumerate as enumerate_threads
from types import SimpleNamespace
from typing import Any

import pytest

from leyden.data import AutoDataModule
from leyden.data.readahead import ReadAhead

WAIT = 20  # seconds, at most
READER = "leyden-read-ahead"  # what its threads are called

SIZE = 32 << 20  # bytes: more than the system reads on by itself once a file's beginning is read


def has(path: Path, place: int) -> bool:
    """Say whether the byte at a place is in the system's memory."""
    with path.open("rb") as file:
        try:
            return os.preadv(file.fileno(), [bytearray(1)], place, os.RWF_NOWAIT) == 1
        except BlockingIOError:
            return False


def make_cold(path: Path) -> Path:
    """Write a file that is on the disk only."""
    if not hasattr(os, "RWF_NOWAIT"):
        pytest.skip("The system does not say what is in its memory.")
    with path.open("wb") as file:
        file.write(bytes(SIZE))
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        is_cold = not has(path, SIZE - 1)
    except OSError as error:
        pytest.skip(f"The file system does not say what is in memory: {error}.")
    if not is_cold:
        pytest.skip("The file system has no file on the disk only.")
    return path


def wait_for_readers() -> None:
    for thread in enumerate_threads():
        if thread.name == READER:
            thread.join(WAIT)
            assert not thread.is_alive()


def bytes_read() -> int:
    """Count what this process has read from files until now, wherever it came from."""
    counts = Path("/proc/self/io").read_text(encoding="ascii").split()
    return int(counts[counts.index("rchar:") + 1])


def test_files_are_in_memory_before_they_are_needed(tmp_path: Path) -> None:
    cold = [make_cold(tmp_path / name) for name in "abc"]
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    ahead = ReadAhead()
    # Whoever needs the missing file will say so.
    ahead.ask([tmp_path / "missing", empty, *cold[:2]])
    ahead.ask(iter(cold[2:]))
    wait_for_readers()
    places = range(0, SIZE, 1 << 20)
    assert all(has(path, place) for path in cold for place in (*places, SIZE - 1))


def test_files_in_memory_are_left_alone(tmp_path: Path) -> None:
    path = make_cold(tmp_path / "a")
    ahead = ReadAhead()
    before = bytes_read()
    ahead.ask([path])
    wait_for_readers()
    once = bytes_read()
    assert once - before >= SIZE
    ahead.ask([path])
    wait_for_readers()
    assert bytes_read() - once < SIZE // 2


def test_files_are_read_where_it_is_not_known_what_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    path = make_cold(tmp_path / "a")
    with path.open("rb") as file:
        assert len(file.read()) == SIZE
    monkeypatch.setattr(os, "preadv", refuse)
    before = bytes_read()
    ReadAhead().ask([path])
    wait_for_readers()
    assert bytes_read() - before >= SIZE


def test_where_the_system_cannot_say_what_is_in_memory_nothing_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "RWF_NOWAIT", raising=False)
    ReadAhead().ask(pytest.fail(f"{path} was looked at") for path in [tmp_path])


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """A file that cannot be read before the end of the test, as nobody writes to it."""
    if not hasattr(os, "RWF_NOWAIT"):
        pytest.skip("The system does not say what is in its memory.")
    path = tmp_path / "pipe"
    os.mkfifo(path)
    yield path
    descriptor = os.open(path, os.O_RDWR)  # which whoever wants to read has waited for
    wait_for_readers()
    os.close(descriptor)


def test_a_process_ends_without_waiting_for_what_is_read_ahead(pipe: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from leyden.data.readahead import ReadAhead\n"
        "ReadAhead().ask([Path(sys.argv[1])] * 3)"
    )
    subprocess.run([sys.executable, "-c", script, str(pipe)], check=True, timeout=6 * WAIT)


def test_a_forked_process_reads_ahead_by_itself(tmp_path: Path, pipe: Path) -> None:
    path = make_cold(tmp_path / "a")
    ahead = ReadAhead()
    ahead.ask([pipe, pipe])  # which keeps this process from reading more

    def read() -> None:
        ahead.ask([path])
        wait_for_readers()

    process = multiprocessing.get_context("fork").Process(target=read)
    process.start()
    process.join(3 * WAIT)
    assert process.exitcode == 0
    assert has(path, SIZE // 2)
    assert has(path, SIZE - 1)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are asked for."""
    names: list[str] = []
    monkeypatch.setattr(ReadAhead, "ask", lambda _, paths: names.extend(p.stem for p in paths))
    return names


def make_data(folder: Path, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> AutoDataModule:
    """Have two batches in a block, one block made at a time, and two more sets read ahead."""
    for name, value in SIZES.items():
        monkeypatch.setattr(f"leyden.data.loader.{name}", value)
    return AutoDataModule(folder, batch_size=5, **{"shuffle": "none", **arguments})


LENGTHS = dict.fromkeys(range(10), 10)  # rows of 8 bytes
SIZES = {"_BLOCK_BYTES": 80, "_PLANNED_ROWS": 1, "_AHEAD_BYTES": 160}


def files(*numbers: int) -> list[str]:
    return [f"sample__{number}" for number in numbers]


def test_sets_are_asked_for_a_little_before_their_turn(
    write: Any, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = iter(make_data(write(LENGTHS), monkeypatch).train_dataloader())
    assert asked == []
    next(batches)
    assert asked == files(0, 1, 2)
    next(batches)
    assert asked == files(0, 1, 2)
    next(batches)
    assert asked == files(0, 1, 2, 3)
    assert len(list(batches)) == 17
    assert asked == files(*range(10))


def test_sets_that_are_mixed_are_asked_for_together(
    write: Any, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(write(LENGTHS), monkeypatch, shuffle="window:4")
    order = data.plan("train", 0).set_order
    batches = iter(data.train_dataloader())
    next(batches)
    assert asked == files(*order[:4])
    for _ in range(4):
        next(batches)
    assert asked == files(*order[:8])


def test_an_epoch_that_goes_on_asks_for_nothing_that_is_behind_it(
    write: Any, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(LENGTHS)
    for shuffle, expected in (("none", [6, 7, 8]), ("window:4", [4, 5, 6, 7, 8, 9])):
        source = make_data(folder, monkeypatch, shuffle=shuffle)
        loader = source.train_dataloader()
        for _ in zip(range(12), loader, strict=False):  # to the end of the sixth set
            pass
        asked.clear()
        other = make_data(folder, monkeypatch, shuffle=shuffle).train_dataloader()
        other.load_state_dict(loader.state_dict())
        next(iter(other))
        order = source.plan("train", 0).set_order
        assert asked == files(*(order[place] for place in expected))


def test_sets_in_memory_are_not_asked_for(
    write: Any, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(write(LENGTHS), monkeypatch, preload=[1, 2])
    next(iter(data.train_dataloader()))
    assert asked == files(0)


def test_reading_ahead_changes_no_batch(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(LENGTHS)
    told = SimpleNamespace(paths=0)
    monkeypatch.setattr(ReadAhead, "ask", lambda _, paths: setattr(told, "paths", len([*paths])))
    quiet = [batch.tolist() for batch in AutoDataModule(folder).train_dataloader()]  # type: ignore[union-attr] # tensors
    monkeypatch.undo()
    assert told.paths == 10
    assert [batch.tolist() for batch in AutoDataModule(folder).train_dataloader()] == quiet  # type: ignore[union-attr] # tensors

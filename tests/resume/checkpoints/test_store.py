"""The checkpoints of a run on disk: their names, what is kept, and what is broken."""

import errno
import fcntl
import hashlib
import os
import pickle
import re
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typing_extensions import override

from leyden.errors import ConfigError, MissingPathError, ResumeError
from leyden.resume.checkpoints import checkpoint_file, store
from leyden.resume.checkpoints.store import CheckpointStore, latest_checkpoint, load, verify

Opened = Callable[..., CheckpointStore]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Open stores of one folder; close them."""
    stores: list[CheckpointStore] = []

    def open_store(keep: int = 3, folder: Path = tmp_path) -> CheckpointStore:
        stores.append(CheckpointStore(folder, keep=keep))
        stores[-1].open()
        return stores[-1]

    yield open_store
    for each in stores:
        each.close()


def content(step: int) -> dict[str, Any]:
    return {"step": step, "weight": torch.full((1000,), float(step))}


def write(store: CheckpointStore, *steps: int) -> None:
    for step in steps:
        assert store.write(content(step), step=step, wait=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.ckpt"))


class Gate:
    """Holds the writing thread in the middle of a write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = threading.Semaphore(0), threading.Semaphore(0)
        self._sync = checkpoint_file.sync_folder
        monkeypatch.setattr(checkpoint_file, "sync_folder", self._pass)

    def _pass(self, folder: Path) -> None:
        self.reached.release()
        self.opened.acquire()
        self._sync(folder)


def test_checkpoints_are_numbered_in_the_order_of_writing(tmp_path: Path, opened: Opened) -> None:
    write(opened(), 20, 3)
    assert names(tmp_path) == ["000001-step=20.ckpt", "000002-step=3.ckpt"]
    assert latest_checkpoint(tmp_path) == tmp_path / "000002-step=3.ckpt"


def test_numbers_go_on_after_a_restart(tmp_path: Path, opened: Opened) -> None:
    first = opened()
    write(first, 1)
    first.close()
    write(opened(), 1)
    assert names(tmp_path) == ["000001-step=1.ckpt", "000002-step=1.ckpt"]


def test_numbers_of_seven_digits_are_newer_than_those_of_six(
    tmp_path: Path, opened: Opened
) -> None:
    only = opened()
    write(only, 1)
    for suffix in ("", ".sha256"):
        (tmp_path / f"000001-step=1.ckpt{suffix}").rename(tmp_path / f"999999-step=1.ckpt{suffix}")
    write(only, 2)
    assert names(tmp_path) == ["1000000-step=2.ckpt", "999999-step=1.ckpt"]
    assert only.newest() == tmp_path / "1000000-step=2.ckpt"


def test_a_checkpoint_is_read_as_it_was_written(opened: Opened) -> None:
    only = opened()
    only.write({"path": Path("a"), **content(4)}, step=4, wait=True)
    newest = only.newest()
    assert newest is not None
    assert verify(newest) is None
    checkpoint = load(newest)
    assert torch.equal(checkpoint.pop("weight"), torch.full((1000,), 4.0))
    assert checkpoint == {"path": Path("a"), "step": 4}


def test_digests_are_those_of_sha256sum(tmp_path: Path, opened: Opened) -> None:
    write(opened(), 1)
    path = tmp_path / "000001-step=1.ckpt"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert Path(f"{path}.sha256").read_text() == f"{digest}  000001-step=1.ckpt\n"
    command = ["sha256sum", "--check", "--strict", f"{path.name}.sha256"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)


def test_the_newest_good_ones_are_kept_and_files_of_others_too(
    tmp_path: Path, opened: Opened
) -> None:
    others = [
        "epoch=0-step=5.ckpt",
        "last.ckpt",
        "1-step=1.ckpt",
        "000001-step=1.ckpt.bak",
        "000000-step=9.ckpt",  # ours by its name, but it has no digest
        "notes.txt.sha256",
    ]
    for name in others:
        (tmp_path / name).write_text("of another")
    write(opened(keep=2), 1, 2, 3, 4)
    ours = ["000003-step=3.ckpt", "000004-step=4.ckpt"]
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {".lock", *others, *ours, *(f"{name}.sha256" for name in ours)}


def test_one_may_be_kept(tmp_path: Path, opened: Opened) -> None:
    write(opened(keep=1), 1, 2)
    assert names(tmp_path) == ["000002-step=2.ckpt"]


def test_keeping_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Expected `keep` to be at least 1, but got 0"):
        CheckpointStore(tmp_path, keep=0)


def test_broken_checkpoints_do_not_count_among_those_kept(tmp_path: Path, opened: Opened) -> None:
    first = opened()
    write(first, 1, 2, 3)
    first.close()
    (tmp_path / "000002-step=2.ckpt").write_bytes(b"")
    second = opened(keep=3)
    write(second, 4)
    assert names(tmp_path) == [f"00000{number}-step={number}.ckpt" for number in (1, 2, 3, 4)]
    write(second, 5)
    assert names(tmp_path) == [f"00000{number}-step={number}.ckpt" for number in (3, 4, 5)]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


BREAKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped bit": (flip, "its content differs from its digest"),
    "truncated": (truncate, r"its content differs from its digest, its end .* \(truncated\)"),
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "no digest": (
        lambda path: checkpoint_file.digest_path_of(path).rename(path.parent / "elsewhere"),
        r"000003-step=3\.ckpt\.sha256 is missing",
    ),
    "not a digest": (
        lambda path: checkpoint_file.digest_path_of(path).write_bytes(b"\xff 3"),
        r"000003-step=3\.ckpt\.sha256 is not a digest",
    ),
    "a folder": (
        make_folder,
        r"it cannot be read \(Is a directory\)",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_checkpoint_is_named_and_the_one_before_is_used(
    name: str, tmp_path: Path, opened: Opened
) -> None:
    only = opened()
    write(only, 1, 2, 3)
    harm, reason = BREAKS[name]
    harm(tmp_path / "000003-step=3.ckpt")
    before = sorted(tmp_path.iterdir())
    message = rf"000003-step=3\.ckpt: {reason}\. 000002-step=2\.ckpt is used"
    for find in (only.newest, lambda: latest_checkpoint(tmp_path)):
        with pytest.warns(UserWarning, match=message) as caught:
            newest = find()
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert newest is not None
        assert load(newest)["step"] == 2
    assert sorted(tmp_path.iterdir()) == before


def test_all_broken_checkpoints_are_told_in_one_warning(tmp_path: Path, opened: Opened) -> None:
    write(opened(), 1, 2)
    for name in names(tmp_path):
        (tmp_path / name).write_bytes(b"")
    message = r"000002-step=2.ckpt: it is empty; 000001-step=1.ckpt: it is empty\. There is no good"
    with pytest.warns(UserWarning, match=message) as caught:
        assert latest_checkpoint(tmp_path) is None
    assert len(caught) == 1


def test_a_flip_in_any_place_is_noticed(tmp_path: Path, opened: Opened) -> None:
    only = opened()
    only.write({"step": 1}, step=1, wait=True)
    path = tmp_path / "000001-step=1.ckpt"
    data = path.read_bytes()
    for index in range(0, len(data), 7):
        path.write_bytes(data[:index] + bytes([data[index] ^ 1 << index % 8]) + data[index + 1 :])
        assert verify(path) is not None
    path.write_bytes(data)
    assert verify(path) is None


def test_there_is_none_in_an_empty_folder_or_no_folder(tmp_path: Path, opened: Opened) -> None:
    assert latest_checkpoint(tmp_path / "missing") is None
    assert not (tmp_path / "missing").exists()
    assert latest_checkpoint(str(tmp_path)) is None
    assert opened().newest() is None


def test_a_checkpoint_removed_while_it_is_looked_at_is_no_broken_one(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = opened(keep=1)
    write(only, 1)

    def verify_late(path: Path) -> str | None:
        if "step=1" in path.name:
            write(only, 2)  # which removes the one of step 1
        return verify(path)

    monkeypatch.setattr(store, "verify", verify_late)
    assert latest_checkpoint(tmp_path) == tmp_path / "000002-step=2.ckpt"


def test_each_moment_of_a_write_shows_a_good_checkpoint(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    only, seen = opened(keep=1), []
    write(only, 1)

    def look(*_: Any) -> None:
        newest = latest_checkpoint(tmp_path)  # warnings are errors
        assert newest is not None
        seen.append(newest.name)

    for moment in ("replace", "unlink"):
        act = getattr(Path, moment)

        def act_and_look(self: Path, *args: Any, _act: Any = act, **options: Any) -> Any:
            look()
            result = _act(self, *args, **options)
            look()
            return result

        monkeypatch.setattr(Path, moment, act_and_look)
    write(only, 2)
    monkeypatch.undo()
    old, new = "000001-step=1.ckpt", "000002-step=2.ckpt"
    assert seen == sorted(seen)
    assert seen.count(old) >= 3  # before and after the digest gets its name, before the checkpoint
    assert seen.count(new) >= 3
    assert names(tmp_path) == [new]


def test_content_is_on_the_disk_before_names_and_names_before_others_go(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    only, told, fsync = opened(keep=1), [], os.fsync
    write(only, 1)

    def sync_and_tell(descriptor: int) -> None:
        fsync(descriptor)
        told.append(("sync", os.stat(descriptor).st_ino))

    for moment in ("replace", "unlink"):
        act = getattr(Path, moment)

        def act_and_tell(self: Path, *args: Any, _act: Any = act, **options: Any) -> Any:
            if self.exists():
                told.append((_act.__name__, self.stat().st_ino))
            return _act(self, *args, **options)

        monkeypatch.setattr(Path, moment, act_and_tell)
    monkeypatch.setattr(os, "fsync", sync_and_tell)
    old = (tmp_path / "000001-step=1.ckpt").stat().st_ino
    write(only, 2)
    new, folder = (tmp_path / "000002-step=2.ckpt").stat().st_ino, tmp_path.stat().st_ino
    digest = (tmp_path / "000002-step=2.ckpt.sha256").stat().st_ino
    moments = [("sync", digest), ("replace", digest), ("sync", new), ("replace", new)]
    moments += [("sync", folder), ("unlink", old)]
    last = [len(told) - told[::-1].index(moment) for moment in moments]
    assert last == sorted(last)


def test_what_a_kill_left_is_removed_and_what_others_left_is_not(
    tmp_path: Path, opened: Opened
) -> None:
    left = [".7-000004-step=9.ckpt", ".7-000004-step=9.ckpt.sha256", "000004-step=9.ckpt.sha256"]
    others = [".7-epoch=1.ckpt", ".git", "epoch=1.ckpt.sha256"]
    for name in [*left, *others, ".7-probe"]:
        (tmp_path / name).write_text("")
    opened()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, ".lock"])


def test_writing_returns_before_it_is_done(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    only, gate = opened(), Gate(monkeypatch)
    assert only.write(content(1), step=1) is None
    gate.reached.acquire()
    gate.opened.release()
    only.close()
    assert names(tmp_path) == ["000001-step=1.ckpt"]


def test_a_newer_checkpoint_takes_the_place_of_one_that_waits(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    only, gate = opened(), Gate(monkeypatch)
    only.write(content(1), step=1)
    gate.reached.acquire()
    for step in (2, 3, 4):
        only.write(content(step), step=step)
    gate.opened.release(2)
    only.close()
    assert names(tmp_path) == ["000001-step=1.ckpt", "000002-step=4.ckpt"]


def test_waiting_is_for_the_own_checkpoint(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    only, gate = opened(), Gate(monkeypatch)
    only.write(content(1), step=1)
    gate.reached.acquire()
    gate.opened.release(2)
    assert only.write(content(2), step=2, wait=True)
    assert latest_checkpoint(tmp_path) == tmp_path / "000002-step=2.ckpt"


def test_what_could_not_be_loaded_again_is_refused_before_anything_is_written(
    tmp_path: Path, opened: Opened
) -> None:
    only = opened()
    with pytest.raises(ResumeError, match=r"(?s)hyper_parameters/net: torch.nn.*Linear.*ignore="):
        only.write({"hyper_parameters": {"net": torch.nn.Linear(1, 1)}}, step=1)
    only.close()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_negative_step_is_refused(opened: Opened) -> None:
    with pytest.raises(ConfigError, match="Expected `step` to be at least 0, but got -1"):
        opened().write({}, step=-1)


def test_a_store_that_is_not_open_writes_nothing(tmp_path: Path, opened: Opened) -> None:
    closed = CheckpointStore(tmp_path)
    with pytest.raises(ResumeError, match=r"it is closed\. Call `open\(\)` first"):
        closed.write({}, step=1)
    closed.close()
    again = opened()
    again.close()
    again.close()
    with pytest.raises(ResumeError, match="it is closed"):
        again.write({}, step=1)


def test_a_store_may_be_opened_twice_and_again(tmp_path: Path, opened: Opened) -> None:
    only = opened()
    only.open()
    write(only, 1)
    only.close()
    only.open()
    write(only, 2)
    assert names(tmp_path) == ["000001-step=1.ckpt", "000002-step=2.ckpt"]


def test_folders_are_made_with_their_parents(tmp_path: Path, opened: Opened) -> None:
    write(opened(folder=tmp_path / "a" / "b"), 1)
    assert names(tmp_path / "a" / "b") == ["000001-step=1.ckpt"]


def test_two_stores_of_one_process_are_not_open_at_once(tmp_path: Path, opened: Opened) -> None:
    first = opened()
    (tmp_path / "link").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / "link"):
        second = CheckpointStore(folder)
        with pytest.raises(ResumeError, match=r"this process \(\d+\) has it open\. Close"):
            second.open()
    (tmp_path / ".lock").read_text()  # which, with another kind of lock, would end it
    with pytest.raises(ResumeError, match="has it open"):
        CheckpointStore(tmp_path).open()
    first.close()
    opened()


def test_a_fork_neither_keeps_nor_uses_the_lock(tmp_path: Path, opened: Opened) -> None:
    only = opened()
    write(only, 1)
    mine, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            only.close()
            only.write({}, step=2)
        except ResumeError as error:
            os.write(theirs, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(theirs)
    with os.fdopen(mine, "rb") as told:
        assert b"to be open in this process" in told.read()
    write(only, 2)
    with pytest.raises(ResumeError, match="has it open"):
        CheckpointStore(tmp_path).open()


def test_a_file_system_without_locks_is_a_warning(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.warns(UserWarning, match="No locks available.*Start one run per folder"):
        write(opened(), 1)


def test_a_lock_that_fails_otherwise_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(ConfigError, match=r"\(Input/output error\)\. Check the disk"):
        CheckpointStore(tmp_path).open()


def failing(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    """Let the next writes fail as the system would let them."""
    left, sync = list(numbers), checkpoint_file.sync_folder

    def sync_or_fail(folder: Path) -> None:
        if left:
            raise OSError(left[0], os.strerror(left.pop(0)))
        sync(folder)

    monkeypatch.setattr(checkpoint_file, "sync_folder", sync_or_fail)


def test_each_kind_of_failure_is_told_once_until_writing_works_again(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    only = opened()
    write(only, 1)
    numbers = (errno.EIO, errno.EDQUOT, errno.EIO, errno.ESTALE)
    failing(monkeypatch, *numbers)
    with pytest.warns(UserWarning, match="could not be written") as caught:
        done = [only.write(content(step), step=step, wait=True) for step in range(2, 6)]
    assert done == [False] * 4
    told = [str(warning.message) for warning in caught]
    assert [re.findall(r"step (\d)", text)[0] for text in told] == ["2", "3", "5"]
    assert told[0].endswith("Check the disk.")
    assert "quota" in told[1]
    assert "See what keeps" in told[2]
    assert not caplog.records
    write(only, 6, 7)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "Checkpoints are written again"
    ]
    failing(monkeypatch, errno.EIO)
    with pytest.warns(UserWarning, match="step 8"):
        only.write(content(8), step=8, wait=True)


def test_a_write_that_fails_at_the_last_moment_leaves_nothing(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, target: Path) -> None:
        if target.suffix == ".ckpt":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.rename(target)

    only = opened()
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.warns(UserWarning, match="Check the disk"):
        only.write(content(1), step=1, wait=True)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_folder_that_cannot_even_be_listed_is_a_warning(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    only = opened()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", fail)
        with pytest.warns(UserWarning, match=r"What is still good cannot be read \(Input/output"):
            assert only.write(content(1), step=1, wait=True) is False
    write(only, 2)


def test_a_failure_that_nobody_foresaw_does_not_end_training_either(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("no more")

    only = opened()
    monkeypatch.setattr(torch, "save", fail)
    with pytest.warns(UserWarning, match=r"MemoryError: no more\. There is no good one yet"):
        assert only.write(content(1), step=1, wait=True) is False
    monkeypatch.undo()
    write(only, 2)


def test_a_warning_that_is_an_error_is_raised_once_where_training_is(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = opened()
    failing(monkeypatch, errno.EIO, errno.ENOSPC)
    with pytest.raises(UserWarning, match="Check the disk"):
        only.write(content(1), step=1, wait=True)
    only.write(content(2), step=2)
    with pytest.raises(UserWarning, match="Free space"):
        only.close()
    only.close()
    only.open()
    write(only, 3)


def test_old_checkpoints_that_cannot_be_removed_are_a_warning(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    only, unlink = opened(keep=1), Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self.suffix == ".ckpt" and not self.name.startswith("."):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        unlink(self, missing_ok)

    write(only, 1)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.warns(UserWarning, match=r"Old checkpoints could not be removed .* still good"):
        write(only, 2)
    write(only, 3)  # told already
    monkeypatch.undo()
    write(only, 4)
    assert names(tmp_path) == ["000004-step=4.ckpt"]


def test_a_folder_that_went_away_is_made_again(tmp_path: Path, opened: Opened) -> None:
    only = opened(folder=tmp_path / "run")
    write(only, 1)
    for path in (tmp_path / "run").iterdir():
        path.unlink()
    (tmp_path / "run").rmdir()
    write(only, 2)
    assert names(tmp_path / "run") == ["000001-step=2.ckpt"]


class Bomb:
    """Runs something when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self._target = target

    @override
    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._target),)


def test_a_pickle_bomb_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path, target = tmp_path / "bomb.ckpt", tmp_path / "hit"
    for save in (torch.save, lambda bomb, path: path.write_bytes(pickle.dumps(bomb, 2))):
        save({"state": Bomb(target)}, path)
        with pytest.raises(ResumeError, match=r"bomb\.ckpt'.*else than plain data, .* not run"):
            load(path)
        assert not target.exists()
    pickle.loads(pickle.dumps(Bomb(target)))
    assert target.exists()  # it would have worked


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.ckpt"
    for value in ([1], torch.ones(2), {"leyden_types": [[["missing"], "Path"]]}):
        torch.save(value, path)
        with pytest.raises(ResumeError, match=r"some\.ckpt': it is no checkpoint, or damaged"):
            load(path)
    for data in (b"", b"PK\x03\x04", b"text"):
        path.write_bytes(data)
        with pytest.raises(ResumeError, match=r"some\.ckpt'.*Use another one"):
            load(path)


def test_a_broken_checkpoint_is_not_loaded(tmp_path: Path, opened: Opened) -> None:
    write(opened(), 1)
    path = tmp_path / "000001-step=1.ckpt"
    flip(path)
    with pytest.raises(ResumeError, match=r"step=1\.ckpt': its content differs from its digest"):
        load(path)


def test_a_checkpoint_of_lightning_without_a_digest_is_loaded(tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.ones(2)}}, tmp_path / "last.ckpt")
    assert torch.equal(load(tmp_path / "last.ckpt")["state_dict"]["weight"], torch.ones(2))


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match=r"Expected a checkpoint, but got '.*no\.ckpt'"):
        load(tmp_path / "no.ckpt")


def test_nothing_is_told_when_all_is_well(
    tmp_path: Path, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(opened(), *range(5))
        assert latest_checkpoint(tmp_path) is not None
    assert not caplog.records

"""Checkpoints of processes that are killed, of full disks, and of folders that two want.

Every claim is put to a process of its own, which is really killed, and to a disk that is really
full, where the system lets a test have one.
"""

import contextlib
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import psutil
import pytest
import torch

from leyden.errors import ConfigError, MissingPathError, ResumeError
from leyden.resume.checkpoints.store import CheckpointStore, latest_checkpoint, load

SCRIPT = Path(__file__).parent / "store_script.py"
PATIENCE = 60.0  # seconds after which a process is taken to hang
SIZE = 1 << 20  # numbers in a checkpoint: 4 MiB, a few milliseconds of writing
NUM_KILLS = 12
NUM_SLOW_KILLS = 200


class Child:
    """A process that writes checkpoints.

    Args:
        link: To the process that forks it.
        request: What to do, and the arguments for that.
    """

    def __init__(self, link: socket.socket, request: Sequence[object]) -> None:
        self.lines: list[str] = []
        self._rest = ""
        self._out, out = os.pipe()
        socket.send_fds(link, [json.dumps(request, default=str).encode()], [out])
        os.close(out)
        self.process = psutil.Process(int(link.recv(100)))

    def until(self, start: str) -> str:
        """Wait for a line that starts so; return it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            lines = self._more(deadline)
            for line in lines:
                if line.startswith(start):
                    return line
            if not lines:
                raise AssertionError(f"It ended after {self.lines[-3:]}.")

    def end(self) -> list[str]:
        """Wait until it ends; return all that it told."""
        deadline = time.monotonic() + PATIENCE
        while self._more(deadline):
            pass
        self.process.wait(PATIENCE)
        return self.lines

    def kill(self) -> list[str]:
        """Kill it; return all that it told."""
        self.process.kill()
        return self.end()

    def clear(self) -> None:
        """Kill what is left of it and its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        os.close(self._out)

    def _more(self, deadline: float) -> list[str]:
        left = max(0.0, deadline - time.monotonic())
        if not select.select([self._out], [], [], left)[0]:
            raise AssertionError(f"Nothing more after {self.lines[-3:]}.")
        text = os.read(self._out, 1 << 16).decode()
        if not text:
            return []
        *lines, self._rest = (self._rest + text).split("\n")
        self.lines += lines
        return lines or self._more(deadline)


Start: TypeAlias = Callable[..., Child]


@pytest.fixture(scope="module")
def link() -> Iterator[socket.socket]:
    """Connects to the process that forks others; where that is root's, it obeys file modes too."""
    mine, theirs = socket.socketpair()
    command = [sys.executable, str(SCRIPT), str(theirs.fileno())]
    if os.geteuid() == 0 and shutil.which("setpriv"):
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with mine, subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment) as forks:
        theirs.close()
        mine.settimeout(PATIENCE)
        yield mine
        mine.shutdown(socket.SHUT_RDWR)
        forks.wait(PATIENCE)


@pytest.fixture
def start(link: socket.socket) -> Iterator[Start]:
    """Start processes; none of them outlives its test."""
    children: list[Child] = []

    def start_child(*request: object) -> Child:
        children.append(Child(link, request))
        return children[-1]

    yield start_child
    for child in children:
        child.clear()


@contextlib.contextmanager
def opened(folder: Path, keep: int = 3) -> Iterator[CheckpointStore]:
    store = CheckpointStore(folder, keep=keep)
    store.open()
    yield store
    store.close()


def load_newest(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Read the newest checkpoint; once more, if its turn to go came before it was read."""
    newest = latest_checkpoint(folder)  # warnings are errors: there must be no broken one
    assert newest is not None
    try:
        return newest, load(newest)
    except (MissingPathError, ResumeError):
        if newest.exists() and newest.with_name(f"{newest.name}.sha256").exists():
            raise
        return load_newest(folder)


def check_newest(folder: Path, told: list[str]) -> int:
    """Check that the newest checkpoint is what its step says, and at least what was durable."""
    newest, checkpoint = load_newest(folder)
    step: int = checkpoint["step"]
    assert newest.name.endswith(f"-step={step}.ckpt")
    assert torch.equal(checkpoint["weight"], torch.full((SIZE,), float(step)))
    durable = [int(line.split()[1]) for line in told if line.startswith("durable ")]
    assert step >= max(durable, default=0)
    return step


def kill_and_restart(folder: Path, start: Start, *, num_kills: int, seed: int) -> int:
    """Kill writers, a third of them in the middle of a write; return how many writes were cut."""
    draw = random.Random(seed)
    with opened(folder) as store:
        store.write({"step": 0, "weight": torch.zeros(SIZE)}, step=0, wait=True)
    told, num_cut, step = ["durable 0"], 0, 0
    for index in range(num_kills):
        stop_at = 0 if index % 3 else draw.randint(1, 4)
        child = start("write_forever", folder, step + 1, SIZE, stop_at)
        child.until(f"writing {stop_at or draw.randint(1, 4)}")
        if not stop_at:
            time.sleep(draw.uniform(0, 0.08))  # a random moment is what is tested
        told += child.kill()
        num_cut += any(path.name.startswith(".") for path in folder.glob(".*.ckpt"))
        step = check_newest(folder, told)
    return num_cut


def check_left(folder: Path) -> None:
    """Check that a restart leaves nothing of what was cut off."""
    with opened(folder, keep=1) as store:
        store.write({}, step=1, wait=True)
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 3
    assert names[0] == ".lock"
    assert names[2] == f"{names[1]}.sha256"


def test_a_good_checkpoint_is_there_whenever_the_writer_is_killed(
    tmp_path: Path, start: Start
) -> None:
    num_cut = kill_and_restart(tmp_path, start, num_kills=NUM_KILLS, seed=1)
    assert num_cut >= NUM_KILLS // 3
    check_left(tmp_path)


@pytest.mark.slow
def test_a_good_checkpoint_is_there_after_many_kills(tmp_path: Path, start: Start) -> None:
    num_cut = kill_and_restart(tmp_path, start, num_kills=NUM_SLOW_KILLS, seed=2)
    assert num_cut >= NUM_SLOW_KILLS // 3
    check_left(tmp_path)


def test_a_reader_meets_no_broken_checkpoint_while_another_process_writes(
    tmp_path: Path, start: Start
) -> None:
    writer = start("write_forever", tmp_path, 1, SIZE, 0)
    writer.until("durable 1")
    steps = [check_newest(tmp_path, writer.lines) for _ in range(40)]
    writer.until("durable 5")  # so that those of the beginning are gone
    steps.append(check_newest(tmp_path, writer.lines))
    assert steps == sorted(steps)
    assert steps[-1] > 4


def test_a_second_process_is_refused_by_the_name_of_the_first(tmp_path: Path, start: Start) -> None:
    first = start("hold", tmp_path)
    first.until("open")
    refusal = start("hold", tmp_path).until("refused")
    assert f"process {first.process.pid} on {os.uname().nodename}" in refusal
    assert "give this run a folder of its own" in refusal


def test_the_lock_of_a_killed_process_is_no_obstacle(tmp_path: Path, start: Start) -> None:
    first = start("hold", tmp_path)
    first.until("open")
    first.kill()
    start("hold", tmp_path).until("open")


def test_workers_that_outlive_a_killed_process_do_not_keep_its_lock(
    tmp_path: Path, start: Start
) -> None:
    first = start("hold_with_workers", tmp_path)
    worker = psutil.Process(int(first.until("worker").split()[1]))
    first.process.kill()
    first.process.wait(PATIENCE)
    assert worker.is_running()
    start("hold", tmp_path).until("open")
    assert worker.is_running()


def test_the_end_of_the_program_waits_for_the_last_checkpoint(tmp_path: Path, start: Start) -> None:
    assert start("leave_without_closing", tmp_path).end() == ["done"]
    assert check_newest(tmp_path, []) == 1


def test_a_file_that_may_not_grow_is_told_once_and_the_next_write_is_tried(
    tmp_path: Path, start: Start
) -> None:
    lines = start("write_with_limit", tmp_path, 100_000).end()
    assert lines[:4] == ["0 True", "1 False", "2 False", "3 True"]
    assert lines[5:] == ["done"]
    assert "checkpoint of step 1 could not be written" in lines[4]
    assert "File too large. 000001-step=0.ckpt is still good." in lines[4]
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == [
        "000001-step=0.ckpt",
        "000002-step=3.ckpt",
    ]
    assert not list(tmp_path.glob(".*.ckpt"))


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """Mount a small disk in memory, where this process may."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Leave not a byte."""
    with (disk / "fill").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_full_disk_is_a_warning_and_the_last_good_checkpoint_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    large, small = {"weight": torch.ones(1 << 19)}, {"weight": torch.ones(8)}
    with mounted(tmp_path / "disk", "size=2m") as disk, opened(disk / "run") as store:
        assert store.write(small, step=1, wait=True)
        message = (
            r"step 2 .*: No space left on device\. 000001-step=1\.ckpt is still good\. "
            r"Training goes on.*Free space there"
        )
        with pytest.warns(UserWarning, match=message):
            assert store.write(large, step=2, wait=True) is False
        assert store.write(large, step=3, wait=True) is False  # told already
        assert sorted(path.name for path in store.dirpath.iterdir()) == [
            ".lock",
            "000001-step=1.ckpt",
            "000001-step=1.ckpt.sha256",
        ]
        assert store.newest() == store.dirpath / "000001-step=1.ckpt"
        assert store.write(small, step=4, wait=True)
        assert "written again" in caplog.text
        with pytest.warns(UserWarning, match=r"000002-step=4\.ckpt is still good"):
            store.write(large, step=5, wait=True)


def test_a_disk_full_to_the_last_byte_is_a_warning(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=256k") as disk, opened(disk) as store:
        assert store.write({"step": 1}, step=1, wait=True)
        fill(disk)
        with pytest.warns(UserWarning, match="No space left on device"):
            assert store.write({"step": 2}, step=2, wait=True) is False
        assert load(disk / "000001-step=1.ckpt") == {"step": 1}


def test_a_disk_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m,ro") as disk:
        for folder in (disk, disk / "run"):
            with pytest.raises(ConfigError, match=r"Read-only file system\). Make the file"):
                CheckpointStore(folder).open()


def test_a_full_disk_is_refused_before_the_first_step(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=64k") as disk:
        fill(disk)
        with pytest.raises(ConfigError, match=r"No space left on device\). Free space"):
            CheckpointStore(disk).open()


@pytest.mark.parametrize("was_used", [False, True])
def test_a_folder_without_the_right_to_write_is_refused(
    was_used: bool, tmp_path: Path, start: Start
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    if was_used:
        (folder / ".lock").touch()
    folder.chmod(0o555)
    refusal = start("hold", folder).until("refused")
    assert "(Permission denied). Make the folder writable." in refusal


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ConfigError, match=r"\((File exists|Not a directory)\)\. Choose"):
            CheckpointStore(folder).open()


def test_an_interrupt_of_the_terminal_lets_a_write_end(tmp_path: Path, start: Start) -> None:
    child = start("write_forever", tmp_path, 1, SIZE, 0)
    child.until("writing 3")
    child.process.send_signal(signal.SIGINT)
    assert check_newest(tmp_path, child.end()) >= 3
    assert not list(tmp_path.glob(".*.ckpt"))

"""Files that break, processes that die, and limits of the system, while training goes on.

Every run is a process of its own with a real trainer, which tells each batch as it is trained on,
so that a test knows when to strike.
"""

import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import psutil
import pytest
from safetensors.numpy import save_file

from leyden.cli import main
from leyden.data import AutoDataModule
from leyden.errors import ShardError
from leyden.shards import pack, verify_pack
from leyden.types import Array, Phase

SCRIPT = Path(__file__).parent / "faults_script.py"
PATIENCE = 60.0  # seconds after which a run is taken to hang
SOON = 5.0  # seconds; it is well below one on a machine that has nothing else to do
MIB = 1 << 20

Start: TypeAlias = Callable[..., "Run"]


def processes_of(session: int) -> list[psutil.Process]:
    """List the processes of a session, whether or not their parents are alive."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(process.pid) == session:
                found.append(process)
    return found


class Run:
    """A training run in a process of its own.

    Args:
        link: To the process that forks runs.
        arguments: Those of ``train`` in the script.
        folder: Where what it writes to stderr is kept.
    """

    def __init__(self, link: socket.socket, arguments: dict[str, Any], folder: Path) -> None:
        self.lines: list[str] = []
        self._rest, self._link = "", link.makefile("r")
        self._err, self._is_over = folder / "stderr", False
        self._out, out = os.pipe()
        with self._err.open("w") as err:
            socket.send_fds(link, [json.dumps(arguments).encode()], [out, err.fileno()])
        os.close(out)
        self.pid = int(self._link.readline())

    def until(self, is_there: Callable[[str], bool], patience: float = PATIENCE) -> float:
        """Wait for a line on its stdout; return the seconds that took.

        Lines from before are not looked at.
        """
        began = time.monotonic()
        while not any(map(is_there, self._more(began + patience))):
            pass
        return time.monotonic() - began

    def _more(self, deadline: float) -> list[str]:
        left = max(0.0, deadline - time.monotonic())
        if not select.select([self._out], [], [], left)[0]:
            raise AssertionError(f"Nothing more after {self.lines[-3:]}.")
        text = os.read(self._out, 1 << 16).decode()
        if not text:
            raise AssertionError(f"It ended: {self.lines[-3:]}\n{self.errors}")
        *lines, self._rest = (self._rest + text).split("\n")
        self.lines += lines
        return lines

    @property
    def errors(self) -> str:
        """What it has written to stderr."""
        return self._err.read_text()

    @property
    def workers(self) -> list[psutil.Process]:
        """Its processes beside the main one."""
        return [process for process in processes_of(self.pid) if process.pid != self.pid]

    def end(self) -> int:
        """Wait until all of its processes are gone; return the exit code."""
        with contextlib.suppress(AssertionError):
            self.until(lambda _: False)
        code, self._is_over = int(self._link.readline()), True
        psutil.wait_procs(processes_of(self.pid), timeout=SOON)
        assert not processes_of(self.pid)
        return code

    def facts(self) -> dict[str, int]:
        """Wait for it to finish, and take what it found out."""
        self.until(lambda line: line.startswith("done"), patience=600)
        assert self.end() == 0
        found: dict[str, int] = json.loads(self.lines[-1].removeprefix("done"))
        return found

    def kill(self) -> None:
        """End what is left of it."""
        for process in processes_of(self.pid):
            process.kill()
        if not self._is_over:
            self._link.readline()
        self._link.close()
        os.close(self._out)


@pytest.fixture(scope="module")
def link() -> Iterator[socket.socket]:
    """Connects to the process that forks runs; where that is root's, it obeys file modes too."""
    mine, theirs = socket.socketpair()
    command = [sys.executable, str(SCRIPT), str(theirs.fileno())]
    if os.geteuid() == 0 and shutil.which("setpriv"):
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with (
        mine,
        subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment) as forks,
    ):
        theirs.close()
        mine.settimeout(PATIENCE)
        yield mine
        mine.shutdown(socket.SHUT_RDWR)
        forks.wait(PATIENCE)


@pytest.fixture
def start(link: socket.socket, tmp_path: Path) -> Iterator[Start]:
    """Start runs; none of them outlives its test."""
    runs: list[Run] = []

    def start_run(folder: Path, *, data: dict[str, Any], **arguments: Any) -> Run:
        whole = {"folder": str(folder), "data": data, "trainer": {}, **arguments}
        runs.append(Run(link, whole, tmp_path))
        return runs[-1]

    yield start_run
    for run in runs:
        run.kill()


def save(path: Path, rows: Array) -> None:
    """Write a shard in the format that its extension names."""
    if path.suffix == ".npy":
        np.save(path, rows)
    elif path.suffix == ".npz":
        np.savez(path, x=rows)
    elif path.suffix == ".safetensors":
        save_file({"x": rows}, path)
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file["x"] = rows


def write_shards(folder: Path, ext: str, num_sets: int) -> Path:
    """Write shards of 2048 rows, 512 KiB, that are filled with their numbers."""
    folder.mkdir()
    for number in range(1, num_sets + 1):
        save(folder / f"s{number}{ext}", np.full((2048, 64), number, np.float32))
    return folder


def rename_over(path: Path, content: bytes) -> None:
    beside = path.with_name("beside")
    beside.write_bytes(content)
    beside.replace(path)


def blank(path: Path) -> None:
    """Zero a page in the middle of a file."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(4096))


FAULTS: dict[str, Callable[[Path], None]] = {
    "deleted": Path.unlink,
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "replaced": lambda path: rename_over(path, path.read_bytes()[:-4] + b"leyd"),
    "replaced by less": lambda path: rename_over(path, path.read_bytes()[:-4096]),
    "blanked": blank,
}
_SHORT = r"Expected (\d+ bytes, as (when it was found|the header says), but got|an intact file)"
PROBLEMS = {
    "deleted": "Expected a readable file, but got: No such file or directory.",
    "truncated": _SHORT,
    "replaced": "Expected the file that was found, but it has been written since.",
    "replaced by less": _SHORT,
    "blanked": "Expected the file that was found, but it has been written since.",
}


def strike(run: Run, path: Path, fault: str) -> float:
    """Break a shard; return the seconds until the main process says which, and see it end."""
    FAULTS[fault](path)
    took = run.until(lambda line: line.startswith("raised"))
    number = path.stem.removeprefix("s") if path.stem != "labels" else r"\d"
    said = f"^Set {number}: {PROBLEMS[fault]}.*{path}"
    error = run.lines[-1].removeprefix("raised ")
    assert re.search(said, error), error
    assert run.end() == 1
    assert f"ShardError: {error}\n" in run.errors
    assert took < SOON
    return took


def train_and_strike(
    start: Start, folder: Path, ext: str, fault: str, workers: dict[str, Any]
) -> None:
    """Break the shard that is being trained on."""
    run = start(write_shards(folder, ext, 6), data={"shuffle": "none", **workers})
    run.until(lambda line: line == "train 3")
    strike(run, folder / f"s3{ext}", fault)


WORKERS: dict[str, dict[str, Any]] = {
    "0": {"num_workers": 0},
    "2": {"num_workers": 2},
    "2 of each epoch": {"num_workers": 2, "persistent_workers": False},
}


@pytest.mark.parametrize(
    ("ext", "fault", "workers"),
    [
        (".npy", "truncated", "0"),
        (".npy", "deleted", "2 of each epoch"),
        (".safetensors", "truncated", "2"),
        (".h5", "replaced by less", "0"),
        (".npz", "blanked", "2"),
    ],
)
def test_a_shard_that_breaks_ends_the_run_and_is_named(
    tmp_path: Path,
    start: Start,
    ext: str,
    fault: str,
    workers: str,
) -> None:
    train_and_strike(start, tmp_path / "d", ext, fault, WORKERS[workers])


@pytest.mark.slow
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("ext", [".npy", ".safetensors", ".h5", ".npz"])
def test_so_does_any_shard_in_any_way(
    tmp_path: Path,
    start: Start,
    ext: str,
    fault: str,
    workers: str,
) -> None:
    train_and_strike(start, tmp_path / "d", ext, fault, WORKERS[workers])


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.slow)])
@pytest.mark.parametrize("fault", ["deleted", pytest.param("replaced", marks=pytest.mark.slow)])
def test_so_does_a_shard_whose_turn_is_far_away(
    tmp_path: Path,
    start: Start,
    workers: str,
    fault: str,
) -> None:
    folder = write_shards(tmp_path / "d", ".npy", 60)  # one takes a tenth of a second
    run = start(folder, data={"shuffle": "none", **WORKERS[workers]})
    run.until(lambda line: line == "train 2")
    strike(run, folder / "s60.npy", fault)
    assert "train 60" not in run.lines


@pytest.mark.parametrize("workers", [pytest.param("0", marks=pytest.mark.slow), "2"])
def test_so_does_a_shard_of_the_validation(
    tmp_path: Path,
    start: Start,
    workers: str,
) -> None:
    folder = write_shards(tmp_path / "d", ".npy", 60)
    data = {"train": [1], "val": list(range(2, 61)), **WORKERS[workers]}
    once = {"num_sanity_val_steps": 0, "limit_train_batches": 1}
    run = start(folder, data=data, trainer=once)
    run.until(lambda line: line == "val 3")
    strike(run, folder / "s60.npy", "truncated")
    assert "val 60" not in run.lines
    assert run.lines.count("train 1") == 1


@pytest.mark.parametrize("workers", ["0", "2"])
def test_so_does_a_shard_of_the_validation_to_come(
    tmp_path: Path, start: Start, workers: str
) -> None:
    folder = write_shards(tmp_path / "d", ".npy", 6)
    data = {"val": [6], "batch_size": 4, **WORKERS[workers]}
    run = start(folder, data=data, trainer={"num_sanity_val_steps": 0}, step_seconds=0.01)
    run.until(lambda line: line.startswith("train"))
    strike(run, folder / "s6.npy", "deleted")
    assert "while checking the shards of `val`" in run.errors
    assert len(run.lines) < 500


@pytest.mark.parametrize("ext", [".npy", pytest.param(".h5", marks=pytest.mark.slow)])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_so_does_a_shard_that_is_cut_short_while_it_is_read(
    tmp_path: Path, start: Start, ext: str, workers: str
) -> None:
    folder = write_shards(tmp_path / "d", ext, 6)
    data = {"shuffle": "none", **WORKERS[workers]}
    run = start(folder, data=data, breaks=str(folder / f"s1{ext}"))
    assert run.end() == 1  # and not -7, which the system does with such a process
    assert re.search(rf"ShardError: Set 1: {_SHORT}.*s1{ext}", run.errors)


def test_so_does_a_shard_far_away_where_steps_are_slow(tmp_path: Path, start: Start) -> None:
    folder = write_shards(tmp_path / "d", ".npy", 60)
    data = {"shuffle": "none", "batch_size": 4}  # a thousand batches are read at once
    run = start(folder, data=data, step_seconds=0.01)
    run.until(lambda line: line == "train 1")
    strike(run, folder / "s60.npy", "deleted")
    assert len(run.lines) < 500


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.slow)])
def test_so_do_labels(tmp_path: Path, start: Start, workers: str) -> None:
    folder = write_shards(tmp_path / "d", ".npy", 6)
    np.save(folder / "labels.npy", np.arange(6 * 2048))
    run = start(folder, data=WORKERS[workers])
    run.until(lambda line: line == "train 3")
    strike(run, folder / "labels.npy", "truncated")


needs_modes = pytest.mark.skipif(
    os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may read any file"
)


@needs_modes
@pytest.mark.parametrize("workers", [pytest.param("0", marks=pytest.mark.slow), "2"])
def test_so_does_a_shard_that_may_not_be_read_anymore(
    tmp_path: Path, start: Start, workers: str
) -> None:
    folder = write_shards(tmp_path / "d", ".npy", 80)  # more than workers are ahead
    run = start(folder, data={"shuffle": "none", **WORKERS[workers]})
    run.until(lambda line: line == "train 1")
    (folder / "s80.npy").chmod(0)
    run.until(lambda line: line.startswith("raised"))
    said = r"raised Set 80: Expected a readable file, but got: Permission denied\. \(.*s80.npy\)"
    assert re.fullmatch(said, run.lines[-1])
    assert run.end() == 1


@pytest.mark.parametrize("ext", [".npy", ".safetensors", ".h5", ".npz"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_shard_that_broke_before_ends_the_epoch_before_its_first_row(
    tmp_path: Path, ext: str, fault: str
) -> None:
    data = AutoDataModule(write_shards(tmp_path / "d", ext, 4), batch_size=2048, shuffle="none")
    data.setup("fit")
    loader = data.train_dataloader()
    assert len(list(loader)) == 4
    FAULTS[fault](tmp_path / "d" / f"s4{ext}")
    batches = iter(loader)
    with pytest.raises(ShardError, match=f"^Set 4: {PROBLEMS[fault]}.*s4{ext}"):
        next(batches)


@pytest.mark.parametrize("ext", [".npy", ".safetensors", ".h5", ".npz"])
def test_a_shard_that_was_truncated_before_ends_the_set_up(tmp_path: Path, ext: str) -> None:
    folder = write_shards(tmp_path / "d", ext, 4)
    FAULTS["truncated"](folder / f"s4{ext}")
    with pytest.raises(ShardError, match=f"Set 4: Expected .*s4{ext}") as caught:
        AutoDataModule(folder).setup("fit")
    assert (caught.value.set_number, caught.value.path) == (4, folder / f"s4{ext}")


def test_a_blanked_region_of_a_packed_folder_is_found_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.random.default_rng(0).random((4096, 16), np.float32)
    pack(rows, tmp_path / "d", rows_per_shard=1024)
    verify_pack(tmp_path / "d")
    path = sorted((tmp_path / "d").glob("*.npy"))[2]
    before = path.stat()
    blank(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as when a disk does it
    AutoDataModule(tmp_path / "d").setup("fit")
    with pytest.raises(ShardError, match=f"as they were packed, but:\n{path.name}: other content"):
        verify_pack(tmp_path / "d")
    monkeypatch.setattr(sys, "argv", ["leyden", "inspect", str(tmp_path / "d"), "--verify"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert f"{path.name}: other content" in capsys.readouterr().err


@pytest.mark.parametrize("workers", ["2", pytest.param("2 of each epoch", marks=pytest.mark.slow)])
def test_a_worker_that_is_killed_ends_the_run(tmp_path: Path, start: Start, workers: str) -> None:
    run = start(write_shards(tmp_path / "d", ".npy", 6), data=WORKERS[workers])
    run.until(lambda line: line == "train 3")
    first, _ = run.workers
    began = time.monotonic()
    first.kill()
    assert run.end() == 1
    assert time.monotonic() - began < SOON
    assert re.search(rf"RuntimeError: DataLoader worker \(pid.* {first.pid}\)", run.errors)


@pytest.mark.parametrize("workers", ["2", pytest.param("2 of each epoch", marks=pytest.mark.slow)])
def test_ctrl_c_ends_the_run_and_its_workers(tmp_path: Path, start: Start, workers: str) -> None:
    run = start(write_shards(tmp_path / "d", ".npy", 6), data=WORKERS[workers])
    run.until(lambda line: line == "train 3")
    assert len(run.workers) == 2
    began = time.monotonic()
    os.killpg(run.pid, signal.SIGINT)
    assert run.end() == 1  # as Lightning has it
    assert time.monotonic() - began < SOON
    assert "Detected KeyboardInterrupt, attempting graceful shutdown" in run.errors
    assert "Error" not in run.errors


@pytest.mark.slow
def test_ctrl_c_ends_the_command_and_its_workers(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for number in range(1, 7):
        np.savez(
            folder / f"s{number}.npz", x=np.zeros((2048, 64), np.float32), y=np.arange(2048) % 2
        )
    overrides = [
        "model=mlp",
        f"data.path={folder}",
        "data.num_workers=2",
        "trainer.max_epochs=100000",
    ]
    command = [sys.executable, "-c", "from leyden.cli import main; main()", "train", *overrides]
    with (
        (tmp_path / "stderr").open("w") as err,
        subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=err, start_new_session=True
        ) as run,
    ):
        try:
            while not list(tmp_path.rglob("batches.parquet")):
                with pytest.raises(subprocess.TimeoutExpired):  # it is on its way there
                    run.wait(0.2)
            assert len(processes_of(run.pid)) > 2
            os.killpg(run.pid, signal.SIGINT)
            run.wait(PATIENCE)
        finally:
            for process in processes_of(run.pid):
                process.kill()
    assert run.returncode == 130
    psutil.wait_procs(processes_of(run.pid), timeout=SOON)
    assert not processes_of(run.pid)
    assert "Traceback" not in (tmp_path / "stderr").read_text()


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10,000 shards of 3 rows that hold the number of their set, and labels in one file."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(10_000):
        np.save(folder / f"s{number}.npy", np.full((3, 8), number, np.float32))
    np.save(folder / "labels.npy", np.arange(30_000))
    return folder


@pytest.mark.parametrize("shuffle", [pytest.param("rows", marks=pytest.mark.slow), "full"])
def test_ten_thousand_shards_take_few_descriptors(many: Path, start: Start, shuffle: str) -> None:
    data = {"shuffle": shuffle, "batch_size": 100}
    run = start(many, data=data, trainer={"max_epochs": 1}, descriptors=64)
    facts = run.facts()
    assert facts["rows"] == 30_000
    assert facts["descriptors"] < 64


def write_sparse(path: Path, num_bytes: int, row_bytes: int) -> None:
    """Write a ``.npy`` file of zeros that takes no room on the disk."""
    shape = (num_bytes // row_bytes, row_bytes // 4)
    np.lib.format.open_memmap(path, "w+", np.float32, shape)


@pytest.mark.slow
def test_large_files_take_a_limited_number_of_descriptors(tmp_path: Path, start: Start) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for number in range(600):
        write_sparse(folder / f"s{number}.npy", 64 * MIB, 1 << 16)
    run = start(
        folder, data={"shuffle": "full"}, trainer={"max_epochs": 1, "limit_train_batches": 60}
    )
    facts = run.facts()
    assert facts["rows"] == 60 * 32
    assert 200 < facts["descriptors"] < 300  # they do hold some, or this shows nothing


def train_over(start: Start, path: Path, **data: Any) -> float:
    """Train one epoch, and return by how many MiB the memory grew at most."""
    run = start(path, data={"batch_size": 64, **data}, trainer={"max_epochs": 1})
    facts = run.facts()
    whole = AutoDataModule(path, rows_per_set=data.get("rows_per_set", 32))
    assert facts["rows"] == whole.catalogs[Phase.TRAIN].num_samples
    return facts["memory"] / MIB


@pytest.mark.parametrize("num_files", [96, 12, 1])
def test_memory_stays_small_over_an_epoch(tmp_path: Path, start: Start, num_files: int) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for number in range(num_files):
        write_sparse(folder / f"s{number}.npy", 1536 // num_files * MIB, 1 << 16)
    path = folder / "s0.npy" if num_files == 1 else folder
    assert train_over(start, path, shuffle="window:8", rows_per_set=512) < 500


@pytest.fixture
def page_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Wait until no other test has the system's memory for files to itself.

    Two that read 20 GiB all over would have each other's pages forgotten, without an end.
    """
    lock = tmp_path_factory.getbasetemp().parent / "page_cache.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
        yield


SIZES = {"20 MiB": 20, "200 MiB": 200, "one file": 20_480}


@pytest.mark.slow
@pytest.mark.usefixtures("page_cache")
@pytest.mark.parametrize("shuffle", ["rows", "window:8", "full"])
@pytest.mark.parametrize("preload", [None, "1GiB"])
@pytest.mark.parametrize("size", SIZES)
def test_memory_stays_within_its_budget_over_20_gib(
    tmp_path: Path,
    start: Start,
    size: str,
    preload: str | None,
    shuffle: str,
) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for number in range(20_480 // SIZES[size]):
        write_sparse(folder / f"s{number}.npy", SIZES[size] * MIB, 1 << 16)
    path = folder / "s0.npy" if size == "one file" else folder
    grown = train_over(start, path, shuffle=shuffle, preload=preload, rows_per_set=512)
    assert grown < 500 + 1024 * (preload is not None)

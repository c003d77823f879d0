"""What becomes of a process whose mapped file is cut short under its hands."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

READ = """
import os, sys
from contextlib import nullcontext
from pathlib import Path
from leyden.shards.readers import NpyReader, refusing_lost_pages
path, guards = Path(sys.argv[1]), sys.argv[2:]
array = NpyReader(path).array
assert array.sum() == 1 << 20
os.truncate(path, 1 << 20)
if guards[0] == "begun":
    with refusing_lost_pages():
        array[:10].sum()
for guard in guards:
    try:
        with refusing_lost_pages() if guard == "guarded" else nullcontext():
            print(guard, array[:, 0].sum(), array[:1000].sum(), flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "s1.npy", np.ones((1 << 14, 64), np.float32))  # 4 MiB
    return tmp_path / "s1.npy"


def read(path: Path, *guards: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", READ, str(path), *guards]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(sys.platform != "linux", reason="it is for Linux")
def test_what_is_lost_is_refused_and_reads_as_zeros(path: Path) -> None:
    done = read(path, "guarded", "guarded")
    # A quarter is left: 2^20 bytes of 2^22, of which 128 are the header.
    assert done.stdout.splitlines() == [
        "guarded 4096.0 64000.0",
        "The file became shorter while it was read",
        "guarded 4096.0 64000.0",
    ]
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_lost_stays_zeros(path: Path) -> None:
    done = read(path, "guarded", "unguarded")
    assert done.returncode == 0
    assert done.stdout.splitlines()[2] == "unguarded 4096.0 64000.0"


@pytest.mark.parametrize("first", ["unguarded", pytest.param("begun", marks=pytest.mark.slow)])
def test_elsewhere_the_system_does_what_it_always_did(path: Path, first: str) -> None:
    done = read(path, first)
    assert (done.returncode, done.stdout) == (-signal.SIGBUS, "")

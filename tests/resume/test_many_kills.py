"""Runs that are killed again and again, at random moments, a third of them during a writing."""

import multiprocessing
import os
import random
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import training_script
from training_script import load_result

from leyden import latest_checkpoint

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["training_script"])
_CELL = {"every": 1}
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
)


def _start(folder: Path, seed: int) -> tuple[ForkServerProcess, Connection]:
    folder.mkdir(exist_ok=True)
    ours, theirs = _SERVER.Pipe(duplex=False)
    process = _SERVER.Process(
        target=training_script.logged_main, args=(folder, {**_CELL, "seed": seed}, theirs)
    )
    process.start()
    theirs.close()
    return process, ours


def _ended(process: ForkServerProcess) -> int:
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _kill_at_random(process: ForkServerProcess, writes: Connection, chance: random.Random) -> bool:
    """Kill a run after a while, or amid one of its writings; say whether it was alive."""
    if chance.random() < 1 / 3:
        for _ in range(chance.randint(1, 12)):
            if not writes.poll(60) or not _received(writes):
                break
    else:
        process.join(timeout=chance.uniform(0.05, 1.0))
    was_alive = process.is_alive()
    process.kill()
    return was_alive


def _received(writes: Connection) -> bool:
    try:
        writes.recv_bytes()
    except EOFError:
        return False
    return True


@pytest.mark.parametrize(
    "kills", [pytest.param(5, id="few"), pytest.param(200, id="many", marks=pytest.mark.slow)]
)
def test_every_restart_finds_a_good_checkpoint(kills: int, tmp_path: Path) -> None:
    whole, _ = _start(tmp_path / "whole", 1)
    assert _ended(whole) == 0, (tmp_path / "whole" / "log.txt").read_text()
    expected = load_result(tmp_path / "whole")
    chance, done, runs = random.Random(0), 0, 0
    while done < kills:
        folder = tmp_path / str(runs)
        runs += 1
        code = -9
        while code != 0:
            # Only what is in the checkpoints may count, once there is one.
            has_begun = latest_checkpoint(folder / "checkpoints") is not None
            process, writes = _start(folder, 99 if has_begun else 1)
            if done < kills:
                done += _kill_at_random(process, writes, chance)
            code = _ended(process)
            assert code in (0, -9), (folder / "log.txt").read_text()
        assert load_result(folder) == expected

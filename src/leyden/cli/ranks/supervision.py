"""Start the processes of a run, pass signals on to them, and end them all when one ends badly."""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from leyden.cli.ranks.task import RankTask
from leyden.errors import ConfigError

__all__ = ["RanksFailedError", "run_ranks"]

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_GRACE = 15.0  # seconds that the others have when a process has ended before them
_GRACE_AT_ONCE = 5.0  # likewise, after a second signal


class RanksFailedError(RuntimeError):
    """A process of a run ended by a bug, or was killed; what is known of it is printed."""


@dataclass(frozen=True, slots=True)
class _End:
    """How a process ended: its exit code, negative for a signal, and when."""

    rank: int
    code: int
    time: float


def run_ranks(task: RankTask, count: int) -> None:
    """Run a task on several processes of this machine, and wait for their end.

    None of them outlives this process, whatever ends it. SIGINT, SIGTERM and SIGUSR1 are passed on.
    When one ends badly, the others are ended too.

    Args:
        task: What they do.
        count: How many there are.

    Raises:
        ConfigError: If one of them ended by a slip of the user's.
        RanksFailedError: If one of them ended by a bug, or was killed.
        SystemExit: With 130 or 143, if they were interrupted.
    """
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with _passing_on(processes) as received:
            processes += _start(task, count)
            ends = _wait(processes, received)
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
    _judge(task, ends, received)


def _start(task: RankTask, count: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start the processes, one by one; the end of this one closes their standard inputs."""
    shared = os.environ | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(count),
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
    }
    shared.pop("RANK", None)  # Lightning would believe it
    shared.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    command = [sys.executable, "-P", "-m", "leyden.cli.ranks", str(task.path)]
    for rank in range(count):
        environment = shared | {"LOCAL_RANK": str(rank)}
        # In a group of its own, so that Ctrl-C in a terminal comes from here, and once.
        yield subprocess.Popen(  # noqa: S603 - of ourselves
            command, env=environment, stdin=subprocess.PIPE, process_group=0
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _passing_on(processes: Sequence[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """Send signals on, and list those that ask to leave; only a main thread can."""
    received: list[int] = []

    def pass_on(signum: int, _: FrameType | None) -> None:
        if signum != signal.SIGUSR1:
            received.append(signum)
        for process in processes:
            process.send_signal(signum)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {signum: signal.signal(signum, pass_on) for signum in _PASSED_ON}
    try:
        yield received
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)


def _wait(processes: Sequence[subprocess.Popen[bytes]], received: Sequence[int]) -> list[_End]:
    """Wait for all, but not for long for those that are left behind."""
    ended: queue.Queue[_End] = queue.Queue()

    def wait_for(rank: int) -> None:
        code = processes[rank].wait()
        ended.put(_End(rank, code, time.time()))

    for rank in range(len(processes)):
        threading.Thread(target=wait_for, args=(rank,), daemon=True).start()
    ends: list[_End] = []
    deadline: float | None = None
    while len(ends) < len(processes):
        with suppress(queue.Empty):
            ends.append(ended.get(timeout=1.0))
        if deadline is None and any(end.code != 0 for end in ends):
            deadline = time.monotonic() + _GRACE
        if deadline is None and len(received) > 1:
            deadline = time.monotonic() + _GRACE_AT_ONCE
        if deadline is not None and time.monotonic() > deadline:
            for process in processes:
                process.kill()
            deadline = float("inf")
    return ends


def _judge(task: RankTask, ends: Sequence[_End], received: Sequence[int]) -> None:
    """Raise what the end of the processes amounts to; the first of them that fell is the cause."""
    fallen = [end for end in ends if end.code != 0]
    if not fallen:
        return
    errors = {end.rank: task.read_error(end.rank) for end in fallen}
    asked = [end.code for end in fallen if end.code in (130, 143)]
    if received or (asked and not any(errors.values())):
        raise SystemExit(asked[0] if asked else 128 + received[0])
    cause = min(fallen, key=lambda end: getattr(errors[end.rank], "time", end.time))
    error, which = errors[cause.rank], f"process {cause.rank} of {len(ends)}"
    if error is None:
        is_killed = cause.code < 0
        name = signal.Signals(-cause.code).name if is_killed else ""
        how = f"was ended by {name}" if is_killed else f"ended with exit code {cause.code}"
        raise RanksFailedError(f"Expected all processes of the run to go on, but {which} {how}.")
    if error.is_slip:
        raise ConfigError(error.text)
    print(error.text, file=sys.stderr, end="")
    raise RanksFailedError(f"{which} failed: {error.text.strip().splitlines()[-1]}")

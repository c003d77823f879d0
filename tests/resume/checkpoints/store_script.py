"""Writes checkpoints as it is told, each time in a process of its own, and says what happens.

Run by test_store_durability, which sends what to do, its arguments, and where to say what happens.
Whatever is done is done in a fork of this process, so that torch is imported only once.
"""

import itertools
import json
import os
import resource
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from leyden.errors import LeydenError
from leyden.resume.checkpoints import checkpoint_file
from leyden.resume.checkpoints.store import CheckpointStore


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@contextmanager
def opened(folder: str, keep: int = 3) -> Iterator[CheckpointStore]:
    store = CheckpointStore(folder, keep=keep)
    store.open()
    yield store
    store.close()


def checkpoint_of(step: int, size: int) -> dict[str, object]:
    """Content that says which step it belongs to, in every byte that counts."""
    return {"step": step, "weight": torch.full((size,), float(step))}


def tell_when_writing(size: int, stop_at: int) -> None:
    """Say when half of the bytes of a checkpoint have gone to the disk; stop there for one."""
    write = checkpoint_file._HashingFile.write
    written = 0

    def write_and_tell(self: checkpoint_file._HashingFile, data: bytes | memoryview) -> int:
        nonlocal written
        view = memoryview(data).cast("B")
        if len(view) < 4 * size:
            return write(self, view)
        done = write(self, view[: len(view) // 2])
        self._file.flush()
        written += 1
        tell(f"writing {written}")
        if written == stop_at:
            threading.Event().wait()
        return done + write(self, view[len(view) // 2 :])

    checkpoint_file._HashingFile.write = write_and_tell  # type: ignore[method-assign] # for this process only


def write_forever(folder: str, first: int, size: int, stop_at: int) -> None:
    """Write one checkpoint after another; tell of those that are durable."""
    tell_when_writing(size, stop_at)
    with opened(folder, keep=2) as store:
        for step in itertools.count(first):
            store.write(checkpoint_of(step, size), step=step, wait=True)
            tell(f"durable {step}")


def hold(folder: str) -> None:
    """Hold the lock; tell why not, if not."""
    try:
        with opened(folder):
            tell("open")
            signal.pause()
    except LeydenError as error:
        tell(f"refused {error}")


class Numbers(Dataset[int]):
    """Rows that workers take forever to read."""

    def __len__(self) -> int:
        return 8

    @override
    def __getitem__(self, index: int) -> int:
        tell(f"worker {os.getpid()}")
        signal.pause()
        return index


def hold_with_workers(folder: str) -> None:
    """Hold the lock while workers, which are forked from this process, are busy."""
    with opened(folder):
        list(DataLoader(Numbers(), num_workers=2, multiprocessing_context="fork"))


def write_with_limit(folder: str, limit: int) -> None:
    """Write a checkpoint that fits, two that are above the limit of file sizes, one that fits."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with warnings.catch_warnings(record=True) as caught, opened(folder) as store:
        warnings.simplefilter("always")
        for step, size in enumerate((8, limit, limit, 8)):
            tell(f"{step} {store.write(checkpoint_of(step, size), step=step, wait=True)}")
    for warning in caught:
        tell(f"warned {warning.message}")


def leave_without_closing(folder: str) -> None:
    """Hand over a checkpoint, and come to the end of the program."""
    store = CheckpointStore(folder)
    store.open()
    store.write(checkpoint_of(1, 1 << 20), step=1)


def serve(link: socket.socket) -> None:
    """Fork for each request; return in the fork, to its end, or when there are no more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for forks
    while True:
        request, outs, *_ = socket.recv_fds(link, 1 << 16, 1)
        if not request:
            return None
        pid = os.fork()
        if pid == 0:
            os.setsid()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)  # however this was started
            os.dup2(outs[0], sys.stdout.fileno())
        os.close(outs[0])
        if pid == 0:
            link.close()
            task, *arguments = json.loads(request)
            globals()[task](*arguments)
            return tell("done")
        link.send(f"{pid}\n".encode())


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as mine:
        serve(mine)

"""Have the system read files before they are needed, and forget them after."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from leyden.shards import OpenPiece

__all__ = ["ReadAhead"]

_PIECE = 1 << 20  # bytes asked for at a time: the system cuts longer requests short


class ReadAhead:
    """Asks the system for what will have to be read soon, and gives back the rest.

    What is in the system's memory already costs nearly nothing. Where the system takes no such
    advice, nothing is done.
    """

    def __init__(self) -> None:
        # Asking waits for a disk that is busy, which is no reason to keep memory for longer.
        self._asking, self._giving = _Thread("leyden-read-ahead"), _Thread("leyden-give-back")
        self._given_back: Future[None] | None = None

    def ask(self, paths: Iterable[Path]) -> None:
        """Have files read, one after another, and return at once."""
        if hasattr(os, "posix_fadvise"):
            self._asking.do(_ask, paths)

    def give_back(self, pieces: Sequence[OpenPiece]) -> None:
        """Have mapped sets give back their memory, and return before: the next time waits for it.

        Args:
            pieces: They can be read again.
        """
        if self._given_back is not None and self._giving.is_of_this_process:
            self._given_back.result()
        if pieces:
            self._given_back = self._giving.do(_unload, [pieces])


class _Thread:
    """Does one thing after another, beside the others; begun when there is something to do.

    Args:
        name: What it is called.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._executor: ThreadPoolExecutor | None = None
        self._process = 0  # which has the thread: one that is forked has none

    @property
    def is_of_this_process(self) -> bool:
        """Whether what it was told to do is done in this process."""
        return self._process == os.getpid()

    def do(self, task: Callable[[Any], None], items: Iterable[Any]) -> Future[None] | None:
        """Have something done to one after another, and return the last of it."""
        if self._executor is None or not self.is_of_this_process:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix=self._name)
            self._process = os.getpid()
        last = None
        for item in items:
            last = self._executor.submit(task, item)
        return last


def _ask(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # whoever needs the file will say so
        return
    try:
        for offset in range(0, os.fstat(descriptor).st_size, _PIECE):
            os.posix_fadvise(descriptor, offset, _PIECE, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(descriptor)


def _unload(pieces: Iterable[OpenPiece]) -> None:
    for piece in pieces:
        piece.unload()

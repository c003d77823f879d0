"""Have the system read files before they are needed, and forget them after."""

import mmap
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from leyden.data.addresses import address_of
from leyden.shards import OpenPiece
from leyden.shards.readers import advise
from leyden.types import Array

__all__ = ["ReadAhead", "can_map_ahead"]

_PIECE = 1 << 20  # bytes asked for at a time: the system cuts longer requests short
_POPULATE_READ = 22  # of Linux 5.14; Python has no name for it yet


class ReadAhead:
    """Asks the system for what will have to be read soon, and gives back the rest.

    What is in the system's memory already costs nearly nothing. Where the system takes no such
    advice, nothing is done.
    """

    def __init__(self) -> None:
        # Pages wait for the disk, which meanwhile is to be told what comes next.
        self._asking, self._mapping = _Thread("leyden-ask"), _Thread("leyden-map")
        self._given_back: Future[None] | None = None

    def ask(self, paths: Iterable[Path]) -> None:
        """Have files read, one after another, and return at once."""
        if hasattr(os, "posix_fadvise"):
            self._asking.do(_ask, paths)

    def map_ahead(self, arrays: Iterable[Array]) -> None:
        """Have all pages of mapped files brought in, and return at once.

        Else each stretch of pages is brought in when it is first touched, by the thread that wants
        it; that costs about half as much as copying it.

        Args:
            arrays: Mapped; see ``can_map_ahead``.
        """
        self._mapping.do(_populate, arrays)

    def give_back(self, pieces: Sequence[OpenPiece]) -> None:
        """Have mapped sets give back their memory, and return before: the next time waits for it.

        Args:
            pieces: They can be read again.
        """
        if self._given_back is not None and self._mapping.is_of_this_process:
            self._given_back.result()
        if pieces:
            self._given_back = self._mapping.do(_unload, [pieces])


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


@cache
def can_map_ahead() -> bool:
    """Whether the system brings mapped pages in ahead of time."""
    if not sys.platform.startswith("linux"):
        return False
    with mmap.mmap(-1, mmap.PAGESIZE) as page:
        try:
            page.madvise(_POPULATE_READ)
        except OSError:
            return False
    return True


def _populate(array: Array) -> None:
    """Ask for pages; one that cannot be read is met when it is used."""
    address = address_of(array)
    begin = address - address % mmap.PAGESIZE
    advise(begin, address + array.nbytes - begin, _POPULATE_READ)


def _unload(pieces: Iterable[OpenPiece]) -> None:
    for piece in pieces:
        piece.unload()

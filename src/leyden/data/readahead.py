"""Have the system read files before they are needed."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["ReadAhead"]

_PIECE = 1 << 20  # bytes asked for at a time: the system cuts longer requests short


class ReadAhead:
    """A thread that asks the system for files which it will have to read soon.

    Files that are in the system's memory already cost nearly nothing. Where the system takes no
    such advice, nothing is done.
    """

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None

    def ask(self, paths: Iterable[Path]) -> None:
        """Have files read, one after another, and return at once."""
        if not hasattr(os, "posix_fadvise"):
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="leyden-read-ahead")
        for path in paths:
            self._thread.submit(_ask, path)


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

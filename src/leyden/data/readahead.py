"""Have files in the system's memory before they are needed, and forget them after."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Thread

from leyden.shards import OpenPiece

__all__ = ["ReadAhead"]

_READERS = 2  # threads: one reads while the other waits for the disk
_SCRATCH = 1 << 19  # bytes read at a time, each time over those before: the system reads on alone
_PIECE = 1 << 20  # bytes: of each, one is looked for in memory


class ReadAhead:
    """Reads what will be needed soon, and gives back the rest.

    Files are read, rather than the system being advised to: whoever copies their rows is spared the
    first touch of each page, which can take several times as long as the copy where the machine is
    a virtual one. What is in the system's memory already is left alone. Where the system cannot say
    what is there, as most cannot, nothing is done.
    """

    def __init__(self) -> None:
        self._readers: list[Thread | None] = [None] * _READERS
        # Readers wait for the disk, which is no reason to keep memory for longer.
        self._giving: ThreadPoolExecutor | None = None
        self._process = 0  # whose thread gives back: one that is forked has none
        self._given_back: Future[None] | None = None

    def ask(self, paths: Iterable[Path]) -> None:
        """Have files read, in about this order, and return at once."""
        if not hasattr(os, "RWF_NOWAIT"):
            return
        files = list(paths)
        for place, before in enumerate(self._readers[: len(files)]):
            work = (files[place::_READERS], before)
            # A daemon: a process that ends does not wait for what nobody needs any more.
            reader = Thread(target=_read_all, args=work, name="leyden-read-ahead", daemon=True)
            self._readers[place] = reader
            reader.start()

    def give_back(self, pieces: Sequence[OpenPiece]) -> None:
        """Have mapped sets give back their memory, and return before: the next time waits for it.

        Args:
            pieces: They can be read again.
        """
        is_of_this_process = self._process == os.getpid()
        if self._given_back is not None and is_of_this_process:
            self._given_back.result()
        if not pieces:
            return
        if self._giving is None or not is_of_this_process:
            self._giving = ThreadPoolExecutor(1, thread_name_prefix="leyden-give-back")
            self._process = os.getpid()
        self._given_back = self._giving.submit(_unload, pieces)


def _read_all(paths: Iterable[Path], before: Thread | None) -> None:
    """Read files once another thread has read its own."""
    if before is not None:
        before.join()
    scratch = bytearray(_SCRATCH)
    for path in paths:
        try:
            _read(path, scratch)
        except OSError:  # whoever needs the file will say so
            continue


def _read(path: Path, scratch: bytearray) -> None:
    with path.open("rb", buffering=0) as file:
        if not _is_in_memory(file.fileno()):
            while file.readinto(scratch):
                pass


def _is_in_memory(descriptor: int) -> bool:
    """Say whether a file can be read without a wait; ``False`` where that is not known."""
    byte = [bytearray(1)]
    try:
        for offset in range(0, os.fstat(descriptor).st_size, _PIECE):
            os.preadv(descriptor, byte, offset, os.RWF_NOWAIT)
    except OSError:  # there would be a wait, or the file system does not tell
        return False
    return True


def _unload(pieces: Iterable[OpenPiece]) -> None:
    for piece in pieces:
        piece.unload()

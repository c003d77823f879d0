"""A folder that one run at a time writes to."""

import errno
import fcntl
import os
import socket
import warnings
from pathlib import Path
from typing import IO
from weakref import WeakSet

from leyden.errors import ResumeError

__all__ = ["FolderLock"]

_NAME = ".lock"
_TAKEN = (errno.EAGAIN, errno.EACCES)
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)  # some network file systems


class FolderLock:
    """The right to write to a folder, which ends with the process that holds it.

    Three kinds of lock were possible. A file that is there or not outlives a killed process. POSIX
    record locks (``fcntl.lockf``) do not see a second holder in the same process, and are lost when
    anything in the process, such as a tracker that uploads the folder, closes the lock file. This
    is the third, ``flock``: it ends when the last copy of the descriptor is closed. A fork copies
    descriptors, so that workers of a loader would keep the lock of a killed parent; therefore each
    fork closes its copy at once.

    Args:
        folder: The folder, which exists.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._file: IO[str] | None = None

    @property
    def held(self) -> bool:
        """Whether this process, and not the one it was forked from, holds the lock."""
        return self._file is not None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            ResumeError: If it is taken, by another process or within this one.
            OSError: If the lock file cannot be written.
        """
        self._file = self._path.open("a+")
        _held.add(self)
        try:
            self._lock(self._file)
            self._file.truncate(0)
            self._file.write(f"{os.getpid()} {socket.gethostname()}\n")
            self._file.flush()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give the lock back, if it is held.

        The lock file stays: were it removed, two processes could hold locks on two files of its
        name.
        """
        file, self._file = self._file, None
        _held.discard(self)
        if file is not None:
            file.close()

    def _lock(self, file: IO[str]) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _TAKEN:
                raise ResumeError(self._refusal(file)) from None
            if error.errno not in _UNSUPPORTED:
                raise
            warnings.warn(
                f"The file system of {str(self._path.parent)!r} has no locks ({error.strerror}): a "
                "second run on this folder would not be noticed. Start one run per folder.",
                stacklevel=4,
            )

    def _refusal(self, file: IO[str]) -> str:
        file.seek(0)
        pid, _, host = file.read().strip().partition(" ")
        is_own = (pid, host) == (str(os.getpid()), socket.gethostname())
        holder = f"process {pid or 'unknown'} on {host or 'an unknown host'}"
        return (
            f"Expected {str(self._path.parent)!r} to be written by one run at a time, but "
            f"{f'this process ({pid})' if is_own else holder} has it open. "
            + (
                "Close the other store, or use one callback per folder."
                if is_own
                else "Wait until it ends, or end it, or give this run a folder of its own."
            )
        )


_held: WeakSet[FolderLock] = WeakSet()


def _leave_to_parent() -> None:
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_leave_to_parent)

"""Signals that wait for the end of a step."""

import logging
import signal
import sys
import threading
from types import FrameType
from typing import Any

__all__ = ["Interrupted", "Interrupts"]

_log = logging.getLogger(__name__)
_LEAVE = (signal.SIGINT, signal.SIGTERM)


class Interrupted(SystemExit):
    """The run was broken off by a signal, and can be gone on with.

    Args:
        signum: The signal; the exit code is 128 more, as shells have it.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


class Interrupts:
    """Notes signals, for the run to look at between two batches.

    Attributes:
        leave: The signal that asked the run to leave, or 0.
        write: Whether a checkpoint was asked for.
    """

    def __init__(self) -> None:
        self.leave = 0
        self.write = False
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Take the signals over; only a process's main thread can."""
        self.leave, self.write = 0, False
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        for signum in _LEAVE:
            self._before[signum] = signal.signal(signum, self._on_leave)
        self._before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, self._on_write)

    def remove(self) -> None:
        """Put the handlers back that were there."""
        while self._before:
            signum, handler = self._before.popitem()
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)

    def _on_leave(self, signum: int, _: FrameType | None) -> None:
        if self.leave:
            raise Interrupted(signum)
        self.leave = signum
        name = signal.Signals(signum).name
        # Not through logging, whose locks the interrupted code may hold.
        sys.stderr.write(f"\n{name}: leaving after this batch; once more to leave at once\n")

    def _on_write(self, _signum: int, _: FrameType | None) -> None:
        self.write = True

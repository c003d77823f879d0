"""Interrupts the process that it is in, at the place it is told."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leyden.resume.rehearsal import How, Interruption, Where

__all__ = ["Striker"]

_SIGNALS = {
    How.SIGINT: signal.SIGINT,
    How.SIGTERM: signal.SIGTERM,
    How.SIGKILL: signal.SIGKILL,
}


class Striker:
    """Interrupts once.

    Args:
        interruption: What to do, and where; ``None`` for nothing.
        note: Called right before it is done.
        is_first: Whether this is the first process of the run; others get exceptions only.
        run_dir: Folder of checkpoints.
    """

    def __init__(
        self,
        interruption: Interruption | None,
        *,
        note: Callable[[], None],
        is_first: bool,
        run_dir: Path,
    ) -> None:
        self._armed, self._note = interruption, note
        self._is_first, self._run_dir = is_first, run_dir
        self._timer: threading.Timer | None = None
        self._step_began = time.monotonic()

    def before_batch(self, batch: int) -> None:
        """To be called before a batch of training is drawn.

        Args:
            batch: Its index, counted through all epochs.
        """
        now = time.monotonic()
        lasted, self._step_began = now - self._step_began, now
        one = self._due(Where.MOMENT, batch)
        if one is not None:
            self._timer = threading.Timer(one.fraction * lasted, self._strike, (one,))
            self._timer.daemon = True
            self._timer.start()

    def in_step(self, batch: int) -> None:
        """To be called in a training step, after what the module does.

        Args:
            batch: Index of its batch, counted through all epochs.
        """
        one = self._due(Where.STEP, batch)
        if one is not None:
            self._strike(one)
        one = self._due(Where.WRITE, batch)
        if one is not None:
            self._strike_a_write(one)
            os.kill(os.getpid(), signal.SIGUSR1)  # `ExactResume` then writes after the batch

    def in_validation(self, record: int) -> None:
        """To be called after a batch of a validation.

        Args:
            record: Number of the record of that batch.
        """
        one = self._armed
        if one is not None and one.where is Where.VALIDATION and one.record == record:
            self._armed = None
            self._strike(one)

    def wait(self) -> None:
        """Wait for an interruption that is under way."""
        if self._timer is not None:
            self._timer.join()

    def _due(self, where: Where, batch: int) -> Interruption | None:
        """The interruption, if it is to happen here and now; it then happens once."""
        one = self._armed
        if one is None or one.where is not where or one.batch != batch:
            return None
        self._armed = None
        return one

    def _strike(self, one: Interruption) -> None:
        if one.how is How.EXCEPTION:
            self._note()
            raise RuntimeError("This error was raised by `leyden verify-resume`.")
        if self._is_first:
            self._note()
            os.kill(os.getpid(), _SIGNALS[one.how])

    def _strike_a_write(self, one: Interruption) -> None:
        """Strike when a checkpoint is written and about to get its name, of which Python tells."""
        folder = str(self._run_dir)

        def on_event(event: str, args: tuple[Any, ...]) -> None:
            if event == "os.rename":
                target = os.fspath(args[1])
                if isinstance(target, str) and target.startswith(folder) and target[-5:] == ".ckpt":
                    self._strike(one)

        sys.addaudithook(on_event)

"""Starting the user's command, and seeing it to its end."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from leyden.errors import ConfigError
from leyden.resume.rehearsal import VARIABLE, Rehearsal

__all__ = ["Ended", "run_command"]

_LOOK_EVERY = 0.1  # seconds
_BATCH = re.compile(rb'"batch": (\d+)')


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Attributes:
        code: Its exit code, as a shell has it.
        seconds: How long it took.
        output_path: What it printed.
        is_hung: Whether it was ended because nothing happened any more.
    """

    code: int
    seconds: float
    output_path: Path
    is_hung: bool = False

    def last_line(self) -> str:
        """The last line that it printed."""
        lines = self.output_path.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "nothing printed")


def run_command(
    command: Sequence[str],
    rehearsal: Rehearsal,
    *,
    patience: float,
    on_batch: Callable[[int], None],
) -> Ended:
    """Run the user's command, and end whatever it leaves behind.

    Args:
        command: Program and arguments.
        rehearsal: What is to happen in it.
        patience: Seconds without any event after which it is ended.
        on_batch: Told the index of the last batch, now and then.

    Raises:
        ConfigError: If there is no such program.
    """
    rehearsal.save()
    output_path = rehearsal.folder / f"start-{rehearsal.start:03d}.log"
    environment = {"WANDB_MODE": "offline"} | os.environ | {VARIABLE: str(rehearsal.folder)}
    began = time.monotonic()
    with output_path.open("wb") as output:
        try:
            process = subprocess.Popen(  # noqa: S603 - it is the user's own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigError(
                f"Expected COMMAND to be a program that can be run, but got {command[0]!r} "
                f"({error.strerror})."
            ) from error
    try:
        is_hung = _attend(process, rehearsal.records_path(0), patience, on_batch)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers and ranks that were left behind
        code = process.wait()
    code = 128 - code if code < 0 else code
    return Ended(code, time.monotonic() - began, output_path, is_hung)


def _attend(
    process: "subprocess.Popen[bytes]",
    path: Path,
    patience: float,
    on_batch: Callable[[int], None],
) -> bool:
    """Wait for the end of a process, or until nothing has happened for too long."""
    size, changed_at = 0, time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_EVERY)
            return False
        now = path.stat().st_size if path.exists() else 0
        if now != size:
            size, changed_at = now, time.monotonic()
            on_batch(_last_batch(path))
        elif time.monotonic() - changed_at > patience:
            return True


def _last_batch(path: Path) -> int:
    with path.open("rb") as file:
        file.seek(-min(1 << 16, path.stat().st_size), os.SEEK_END)
        found = _BATCH.findall(file.read())
    return int(found[-1]) if found else 0

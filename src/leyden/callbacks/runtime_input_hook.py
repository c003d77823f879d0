"""Listen to a file that is edited while training runs."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from typing_extensions import override

from leyden.files import replacing
from leyden.lifecycle import Hook, RunView

__all__ = ["RuntimeInputHook"]

_log = logging.getLogger(__name__)

_COMMENT = "# What is written here while training runs is read before the next step.\n"
_SETTLED = 100_000_000  # nanoseconds after which a file's time of writing would differ


class RuntimeInputHook(Hook):
    """Call a function with the content of a YAML file, first and whenever it differs.

    The file is made if it does not exist. It is looked at before each step, and read if it was
    written. One that is not valid is reported once in the log, and the content before stays. It
    stays, too, while the file is empty, as it is for a moment when it is written anew. The first
    process reads, and all call the function with the same content in the same step.

    Args:
        update_file: The file.
        callback: Called with the whole content, unless it is empty at first.
    """

    def __init__(self, update_file: str | Path, callback: Callable[[Any], None]) -> None:
        self._path, self._callback = Path(update_file), callback
        self._content: Any = None
        self._stamp: tuple[int, ...] | None = None
        self._problem = ""

    @override
    def attach(self, run: RunView) -> None:
        super().attach(run)
        if run.trainer.is_global_zero and not self._path.exists():
            with replacing(self._path) as temporary:
                temporary.write_text(_COMMENT, encoding="utf-8")

    @override
    def before_step(
        self, step: int, fetches: dict[str, Any], feeds: dict[str, Any], batch: Any
    ) -> None:
        trainer = self.run.trainer
        content = self._read() if trainer.is_global_zero else None
        if trainer.world_size > 1:
            content = trainer.strategy.broadcast(content)
        if content != self._content:
            self._content = content
            self._callback(content)

    def _read(self) -> Any:
        try:
            status = self._path.stat()
            stamp = status.st_mtime_ns, status.st_size, status.st_ino
            if stamp == self._stamp:
                return self._content
            text = self._path.read_text(encoding="utf-8")
            content = yaml.safe_load(text) if text.strip() else self._content
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            self._report(str(error))
            return self._content
        self._problem = ""
        # Written so lately that it may be written again without looking different.
        is_settled = time.time_ns() - status.st_mtime_ns > _SETTLED
        self._stamp = stamp if is_settled else None
        return content

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            _log.error("%s cannot be read, and what it was before stays: %s", self._path, problem)

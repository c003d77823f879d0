"""Begin with the weights of a checkpoint."""

import logging
import re
from pathlib import Path
from typing import Any

from typing_extensions import override

from leyden.errors import MissingPathError
from leyden.lifecycle import Hook
from leyden.resume import load
from leyden.runs import RunDir

__all__ = ["RestoreHook"]

_log = logging.getLogger(__name__)

_STEP = re.compile(r"(\d+)$")


class RestoreHook(Hook):
    """Load weights before the first epoch, and go on counting from their step.

    A run that Lightning resumes (``fit(ckpt_path=...)``) is left alone: it has its optimizers too.
    Put the hook first in the list. Called with a path, it loads that at once.

    Args:
        path: A checkpoint, or a folder of them, of which the one with the highest step is taken;
            ``checkpoints`` in the folder of the run if ``None``. An empty folder restores nothing.
        retrain: Whether to count from zero all the same.

    Raises:
        MissingPathError: When training begins, if the path does not exist.
        ResumeError: Likewise, if the file is broken, or holds something else than plain data.
    """

    def __init__(self, path: str | Path | None = None, *, retrain: bool = False) -> None:
        self._path, self._retrain = None if path is None else Path(path), retrain
        self._is_done = False

    @override
    def before_epoch(self, epoch: int) -> None:
        if self._is_done or self.run.trainer.ckpt_path is not None:
            return
        self._is_done = True
        path = self._find()
        if path is None:
            _log.info("no checkpoint to restore: training begins anew")
        else:
            self(path)

    def _find(self) -> Path | None:
        path = self._path or RunDir(self.run.folder).checkpoints_dir
        if path.is_file():
            return path
        if self._path is not None and not path.exists():
            problem = f"Expected `path` to exist, but got {str(path)!r}."
            raise MissingPathError(f"{problem} Leave it out for the checkpoints of the run.")
        found = sorted(path.glob("[!.]*.ckpt"), key=lambda path: (_step_of(path), _written(path)))
        return found[-1] if found else None

    def __call__(self, path: str | Path) -> None:
        """Load weights and counters.

        Args:
            path: A checkpoint.
        """
        checkpoint = load(path)
        self.run.module.load_state_dict(checkpoint["state_dict"])
        if self._retrain:
            return
        counters = checkpoint.get("callbacks", {}).get("StageHooks", {}).get("counters")
        if counters is None:
            self.run.counters.num_iters = max(0, _step_of(Path(path)))
        else:
            self.run.counters.load_state_dict(counters)
        _log.info("restored %s at step %d", path, self.run.global_step)


def _step_of(path: Path) -> int:
    """Read the step at the end of a name: ``model-120.ckpt``, ``epoch=1-step=120.ckpt``."""
    number = _STEP.search(path.stem)
    return int(number[1]) if number else -1


def _written(path: Path) -> Any:
    return path.stat().st_mtime_ns

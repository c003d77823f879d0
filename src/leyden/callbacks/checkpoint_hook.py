"""Save checkpoints that are named by their steps."""

import logging
from pathlib import Path

from typing_extensions import override

from leyden.lifecycle import Hook, Results
from leyden.runs import RunDir

__all__ = ["CheckpointHook"]

_log = logging.getLogger(__name__)


class CheckpointHook(Hook):
    """Save a checkpoint after each epoch, or every so many steps, and when the run is broken off.

    ``model-120.ckpt`` holds what 120 steps made of the model, and can be resumed from. It is
    written when all hooks have had their turn; one at the end of an epoch after the validation.
    With ``interval``, the last step of the run is saved too. Where nothing has been trained yet, an
    exception saves nothing; nor does one of several processes, which would wait for the others.

    Args:
        folder: Where checkpoints go; ``checkpoints`` in the folder of the run if ``None``.
        interval: Steps from one to the next; ``None`` for one after each epoch.
        ckpt_zero: Whether there is one before the first step.
        modelname: What names begin with.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        interval: int | None = None,
        ckpt_zero: bool = False,
        modelname: str = "model",
    ) -> None:
        self._folder = None if folder is None else Path(folder)
        self._interval, self._ckpt_zero, self._modelname = interval, ckpt_zero, modelname
        self._saved_step: int | None = None
        self._has_trained = False

    @override
    def before_epoch(self, epoch: int) -> None:
        if self._ckpt_zero and self.run.global_step == 0:
            self._request()

    @override
    def after_step(self, step: int, results: Results) -> None:
        self._has_trained = True
        if self._interval is not None and step % self._interval == 0:
            self._request()

    @override
    def after_epoch(self, epoch: int) -> None:
        if self._interval is None:
            self._request()

    def on_fit_model_end(self) -> None:
        """Save the last step."""
        if self._saved_step != self.run.global_step:
            self._request()

    @override
    def at_exception(self, exception: BaseException) -> None:
        if not self._has_trained or self.run.trainer.fast_dev_run:
            return
        if self.run.trainer.world_size > 1:
            _log.warning("no checkpoint at an exception: other processes may still be training")
            return
        self.run.trainer.save_checkpoint(self._path())

    def _request(self) -> None:
        self._saved_step = self.run.global_step
        if not self.run.trainer.fast_dev_run:
            self.run.save_checkpoint(self._path())

    def _path(self) -> Path:
        folder = self._folder or RunDir(self.run.folder).checkpoints_dir
        return folder / f"{self._modelname}-{self.run.global_step}.ckpt"

"""A run made again from its folder, in another one that does not stay."""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.loggers.logger import DummyLogger
from omegaconf import OmegaConf, open_dict

from leyden.callbacks import FlightRecorder
from leyden.cli import training
from leyden.cli.replaying.starts import PastStart
from leyden.cli.start import Origin
from leyden.errors import ConfigError
from leyden.incidents import quiet_lightning
from leyden.runs import relocate

__all__ = ["made_again"]

_EXPECTED = (  # warnings that are to be told in a run that goes on, and not in one made again
    "Expected the loggers to be those",
    "`HistoryFigure` has no metrics to draw",
    "Checkpoint directory .* exists and is not empty",
    r"`isinstance\(treespec, LeafSpec\)`",
    "The '.*dataloader' does not have many workers",
    "`HistoryFigure` has no metrics to draw",
)


class made_again:  # noqa: N801 - used like a function
    """Make a run again in a folder that is removed afterwards, until a callback ends it.

    Args:
        start: The start of the run, with whose configuration it is made.
        checkpoint: What to go on from; ``None`` for its beginning.
        callback: Ends it.
    """

    def __init__(self, start: PastStart, checkpoint: Path | None, callback: Callback) -> None:
        self._start, self._checkpoint, self._callback = start, checkpoint, callback
        self._folder = TemporaryDirectory(prefix="leyden-replay-")

    def __enter__(self) -> training.Training:
        try:
            return self._make()
        except BaseException:
            self._folder.cleanup()
            raise

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def _make(self) -> training.Training:
        scratch = Path(self._folder.name).resolve()
        run = self._start.run
        config = OmegaConf.create(relocate(self._start.load_config(), run.path.absolute(), scratch))
        with open_dict(config):
            config.tracking = {}
            config.run_dir, config.resume, config.retrain = str(scratch), None, False
            config.trainer.enable_progress_bar = False
            config.trainer.enable_model_summary = False
        origin = None if self._checkpoint is None else Origin(self._checkpoint, run)
        with quiet_lightning(), warnings.catch_warnings():
            for message in _EXPECTED:
                warnings.filterwarnings("ignore", message)
            made = training.prepare(config, origin)
            if made.trainer.world_size > 1:
                raise ConfigError(
                    "Expected a run of one process, but got one of "
                    f"{made.trainer.world_size}. Replay an incident of it: leyden.replay("
                    "'RUN/incidents/STEP', module=...)."
                )
            self._fit(made)
        return made

    def _fit(self, made: training.Training) -> None:
        trainer: Any = made.trainer
        trainer.loggers = [DummyLogger()]  # callbacks and modules may ask for one
        for callback in trainer.callbacks:
            if isinstance(callback, FlightRecorder):
                callback.rest()
        trainer.callbacks.append(self._callback)
        trainer.fit(made.model, datamodule=made.data, ckpt_path=made.checkpoint)

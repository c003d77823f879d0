"""Keep the figure of a run's metrics current."""

import time
import warnings
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from leyden.callbacks.kept_figure import KeptFigure
from leyden.callbacks.run_folder import folder_to_write
from leyden.report import draw_history
from leyden.runs import RunDir
from leyden.tracking import FileLogger, epoch_ends, log_figure, read_metrics

__all__ = ["HistoryFigure"]


class HistoryFigure(Callback):
    """Redraw the history of all metrics as training goes on.

    It is drawn from the file of the ``FileLogger`` among the trainer's loggers: at ends of train
    epochs, at the end of training and testing, and when the run is broken off. Lightning logs the
    averages of a train epoch after that epoch's end, so the next drawing shows them. Those at the
    end of training and testing are handed to loggers that take figures, as ``history``. A
    development run (``fast_dev_run``) leaves no figure.

    Args:
        path: The PNG file; ``history.png`` in the folder of the run if ``None``.
        every_seconds: Time from one drawing at the end of an epoch to the next.
    """

    def __init__(self, path: str | Path | None = None, *, every_seconds: float = 30.0) -> None:
        super().__init__()
        self._path = None if path is None else Path(path)
        self._every_seconds = every_seconds
        self._file = KeptFigure("history")
        self._drawn_at = -float("inf")
        self._metrics_path: Path | None = None
        self._has_warned = False

    @property
    @override
    def state_key(self) -> str:
        return self._generate_state_key(path=str(self._path))

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._metrics_path = None
        if folder_to_write(trainer) is None:
            return
        loggers = [logger for logger in trainer.loggers if isinstance(logger, FileLogger)]
        if loggers:
            self._metrics_path = loggers[0].metrics_path
        elif not self._has_warned:
            self._has_warned = True
            warnings.warn(
                "`HistoryFigure` has no metrics to draw: the trainer has no `FileLogger`. "
                "Pass `Trainer(logger=FileLogger(run_dir))`.",
                stacklevel=2,
            )

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if time.monotonic() - self._drawn_at >= self._every_seconds:
            self._draw()

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw(last_of=trainer)

    @override
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw(last_of=trainer)

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._draw()

    def _draw(self, *, last_of: Trainer | None = None) -> None:
        if self._metrics_path is None:
            return
        history = read_metrics(self._metrics_path) if self._metrics_path.exists() else {}
        figure = draw_history(history, epoch_ends=epoch_ends(history))
        path = self._path or RunDir(self._metrics_path.parent).history_path
        self._file.write(figure, path)
        if last_of is not None:
            log_figure(last_of.loggers, "history", figure, last_of.global_step)
        self._drawn_at = time.monotonic()

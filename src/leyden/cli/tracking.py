"""What trackers are told of a run beside its metrics: how it was set up, and what came out."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from leyden.errors import LeydenError
from leyden.report import write_page
from leyden.runs import RunDir
from leyden.tracking import ending, log_file, takes_files

__all__ = ["ParameterLog", "concluded"]

_PLACES = ("callbacks", "resume", "run_dir", "runs_dir", "tracking")  # no parameters


class ParameterLog(Callback):
    """Tell trackers what a run was configured with, once they are where they go on.

    Args:
        config: The resolved configuration, in plain containers.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self._params = {name: config[name] for name in config if name not in _PLACES}

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for logger in trainer.loggers:
            logger.log_hyperparams(self._params)


@contextmanager
def concluded(run_dir: RunDir, trainer: Trainer) -> Iterator[None]:
    """Give trackers the files of a run when it is over, however it ended, and end their runs.

    Args:
        run_dir: The folder of the run.
        trainer: Its trainer.
    """
    loggers = trainer.loggers
    with ending(loggers):
        try:
            yield
        finally:
            if trainer.is_global_zero and any(map(takes_files, loggers)):
                _hand_over(run_dir, trainer)


def _hand_over(run_dir: RunDir, trainer: Trainer) -> None:
    try:
        write_page(run_dir.path)
    except (LeydenError, OSError) as error:  # a page is not worth a run
        warnings.warn(f"Trackers get no report, which could not be written: {error}", stacklevel=2)
    found = [
        run_dir.page_path,
        run_dir.card_path,
        run_dir.history_path,
        run_dir.metrics_path,
        run_dir.manifest_path,
    ]
    for path in (path for path in found if path.exists()):
        log_file(trainer.loggers, path)
    for path in sorted(run_dir.config_dir.glob("*.yaml")):
        log_file(trainer.loggers, path, folder=run_dir.config_dir.name)

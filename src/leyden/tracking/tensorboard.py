"""Results for TensorBoard."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from leyden._extras import require
from leyden.tracking.params import flatten_params

__all__ = ["TensorBoardTracker"]

_NEEDED = {"extra": "tensorboard", "needed_for": "the tracker 'tensorboard'"}


class TensorBoardTracker(TensorBoardLogger):
    """Log to files of events in ``tensorboard``, in the folder of the run.

    ``tensorboard --logdir runs`` shows all runs, and compares their parameters.

    Args:
        run_dir: The folder of the run.
        settings: Other arguments of Lightning's ``TensorBoardLogger``.

    Raises:
        MissingExtraError: If TensorBoard is not installed.
    """

    def __init__(self, run_dir: str | Path, **settings: Any) -> None:
        require("tensorboard", **_NEEDED)
        known: dict[str, Any] = {"name": "tensorboard", "version": "", "default_hp_metric": False}
        super().__init__(run_dir, **(known | settings))

    @override
    @rank_zero_only
    def log_hyperparams(
        self,
        params: dict[str, Any] | Namespace,
        metrics: dict[str, Any] | None = None,
        step: int | None = None,
    ) -> None:
        """Keep parameters where TensorBoard's page of parameters finds them."""
        super().log_hyperparams(params, metrics, step)
        if metrics is None:
            plain = {
                name: value if isinstance(value, bool | int | float) else str(value)
                for name, value in flatten_params(params).items()
            }
            summaries = require("torch.utils.tensorboard.summary", **_NEEDED)
            _, begin, _ = summaries.hparams(plain, {})
            self.experiment._get_file_writer().add_summary(begin)  # noqa: SLF001 - no other way

"""Where results go: metrics, figures and files, and the ledger of what was fit."""

from leyden.tracking.files import FileLogger
from leyden.tracking.history import History, epoch_ends, read_metrics
from leyden.tracking.ledger import Ledger, LedgerRow, read_ledger
from leyden.tracking.media import log_figure, log_file, log_image, takes_files
from leyden.tracking.mlflow import MLflowTracker
from leyden.tracking.session import ending, send_metrics
from leyden.tracking.tensorboard import TensorBoardTracker
from leyden.tracking.tolerance import tolerate
from leyden.tracking.wandb import WandbTracker

__all__ = [
    "FileLogger",
    "History",
    "Ledger",
    "LedgerRow",
    "MLflowTracker",
    "TensorBoardTracker",
    "WandbTracker",
    "ending",
    "epoch_ends",
    "log_figure",
    "log_file",
    "log_image",
    "read_ledger",
    "read_metrics",
    "send_metrics",
    "takes_files",
    "tolerate",
]

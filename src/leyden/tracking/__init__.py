"""Where results go: metrics, and the ledger of what was fit."""

from leyden.tracking.files import FileLogger, History, epoch_ends, read_metrics
from leyden.tracking.ledger import Ledger, LedgerRow, read_ledger

__all__ = [
    "FileLogger",
    "History",
    "Ledger",
    "LedgerRow",
    "epoch_ends",
    "read_ledger",
    "read_metrics",
]

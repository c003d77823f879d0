"""How shards become batches: the order of an epoch as arithmetic, and loaders that follow it."""

from leyden.data.datamodule import AutoDataModule
from leyden.data.loader import BatchLoader, Progress
from leyden.data.origin import BatchOrigin, Slice
from leyden.data.plan import EpochPlan
from leyden.data.status import Status

__all__ = [
    "AutoDataModule",
    "BatchLoader",
    "BatchOrigin",
    "EpochPlan",
    "Progress",
    "Slice",
    "Status",
]

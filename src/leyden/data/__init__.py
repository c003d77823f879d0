"""How shards become batches: the order of an epoch as arithmetic, and loaders that follow it."""

from leyden.data.augment import AUGMENTORS, Augmentation, Augmentor, Draws
from leyden.data.datamodule import AutoDataModule
from leyden.data.loader import BatchLoader
from leyden.data.origin import BatchOrigin, Slice
from leyden.data.plan import EpochPlan
from leyden.data.preprocess import PREPROCESSORS, Preprocessing, Transform
from leyden.data.progress import Progress
from leyden.data.status import Status
from leyden.data.windows import TimeWindows
from leyden.lifecycle import Window

__all__ = [
    "AUGMENTORS",
    "PREPROCESSORS",
    "Augmentation",
    "Augmentor",
    "AutoDataModule",
    "BatchLoader",
    "BatchOrigin",
    "Draws",
    "EpochPlan",
    "Preprocessing",
    "Progress",
    "Slice",
    "Status",
    "TimeWindows",
    "Transform",
    "Window",
]

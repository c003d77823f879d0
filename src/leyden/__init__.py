"""An extension pack for PyTorch Lightning for people who train few models thoroughly."""

from leyden._version import __version__
from leyden.data import AutoDataModule, TimeWindows
from leyden.modules import ClassifierModule, LifecycleModule
from leyden.shards import Catalog, discover, pack

__all__ = [
    "AutoDataModule",
    "Catalog",
    "ClassifierModule",
    "LifecycleModule",
    "TimeWindows",
    "__version__",
    "discover",
    "pack",
]

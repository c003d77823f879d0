"""An extension pack for PyTorch Lightning for people who train few models thoroughly."""

from leyden._version import __version__
from leyden.data import AutoDataModule
from leyden.modules import ClassifierModule, LifecycleModule
from leyden.shards import Catalog, discover, pack

__all__ = [
    "AutoDataModule",
    "Catalog",
    "ClassifierModule",
    "LifecycleModule",
    "__version__",
    "discover",
    "pack",
]

"""An extension pack for PyTorch Lightning for people who train few models thoroughly."""

from leyden._version import __version__
from leyden.callbacks import ExactResume, FlightRecorder, RunCard
from leyden.data import AutoDataModule, TimeWindows
from leyden.experiment import Experiment
from leyden.incidents import replay
from leyden.modules import (
    AutoencoderModule,
    ClassifierModule,
    LifecycleModule,
    RegressorModule,
)
from leyden.resume import latest_checkpoint
from leyden.shards import Catalog, discover, pack

__all__ = [
    "AutoDataModule",
    "AutoencoderModule",
    "Catalog",
    "ClassifierModule",
    "ExactResume",
    "Experiment",
    "FlightRecorder",
    "LifecycleModule",
    "RegressorModule",
    "RunCard",
    "TimeWindows",
    "__version__",
    "discover",
    "latest_checkpoint",
    "pack",
    "replay",
]

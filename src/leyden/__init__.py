"""An extension pack for PyTorch Lightning for people who train few models thoroughly."""

from typing import TYPE_CHECKING

from leyden._lazy import importer
from leyden._version import __version__

if TYPE_CHECKING:
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
else:  # `leyden --version` is not to wait for torch
    __getattr__ = importer(
        __name__,
        {
            "AutoDataModule": "leyden.data",
            "AutoencoderModule": "leyden.modules",
            "Catalog": "leyden.shards",
            "ClassifierModule": "leyden.modules",
            "ExactResume": "leyden.callbacks",
            "Experiment": "leyden.experiment",
            "FlightRecorder": "leyden.callbacks",
            "LifecycleModule": "leyden.modules",
            "RegressorModule": "leyden.modules",
            "RunCard": "leyden.callbacks",
            "TimeWindows": "leyden.data",
            "discover": "leyden.shards",
            "latest_checkpoint": "leyden.resume",
            "pack": "leyden.shards",
            "replay": "leyden.incidents",
        },
    )

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

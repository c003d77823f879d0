"""Data, model and tracking together: train, evaluate, predict, save and load in a line each."""

from leyden.experiment.experiment import Experiment
from leyden.experiment.models import MODELS
from leyden.experiment.outcome import Outcome
from leyden.experiment.sources import DATASETS
from leyden.experiment.specs import Dataset, Model, Tracking
from leyden.experiment.trackers import TRACKERS

__all__ = [
    "DATASETS",
    "MODELS",
    "TRACKERS",
    "Dataset",
    "Experiment",
    "Model",
    "Outcome",
    "Tracking",
]

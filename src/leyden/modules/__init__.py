"""Bases for a LightningModule."""

from leyden.modules.classifier import ClassifierModule
from leyden.modules.lifecycle import LifecycleModule
from leyden.modules.networks import CNN, MLP
from leyden.modules.recurrent import LSTM, HiddenState

__all__ = ["CNN", "LSTM", "MLP", "ClassifierModule", "HiddenState", "LifecycleModule"]

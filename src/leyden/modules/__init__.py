"""Bases for a LightningModule."""

from leyden.modules.classifier import ClassifierModule
from leyden.modules.lifecycle import LifecycleModule
from leyden.modules.networks import CNN, MLP

__all__ = ["CNN", "MLP", "ClassifierModule", "LifecycleModule"]

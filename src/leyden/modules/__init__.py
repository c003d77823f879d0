"""Bases for a LightningModule."""

from leyden.modules.autoencoder import AutoencoderModule
from leyden.modules.classifier import ClassifierModule
from leyden.modules.lifecycle import LifecycleModule
from leyden.modules.networks import CNN, LSTM, MLP, Autoencoder, HiddenState
from leyden.modules.objectives import LOSSES, DiceLoss
from leyden.modules.regressor import RegressorModule
from leyden.modules.supervised import SupervisedModule

__all__ = [
    "CNN",
    "LOSSES",
    "LSTM",
    "MLP",
    "Autoencoder",
    "AutoencoderModule",
    "ClassifierModule",
    "DiceLoss",
    "HiddenState",
    "LifecycleModule",
    "RegressorModule",
    "SupervisedModule",
]

"""Networks that take their input and output sizes from the data."""

from leyden.modules.networks.autoencoder import Autoencoder
from leyden.modules.networks.feedforward import CNN, MLP
from leyden.modules.networks.make import AUTOENCODERS, NETWORKS, make_network
from leyden.modules.networks.recurrent import LSTM, HiddenState

__all__ = [
    "AUTOENCODERS",
    "CNN",
    "LSTM",
    "MLP",
    "NETWORKS",
    "Autoencoder",
    "HiddenState",
    "make_network",
]

"""Augmentation of training rows."""

from leyden.data.augment.augmentation import AUGMENTORS, Augmentation
from leyden.data.augment.base import Augmentor
from leyden.data.augment.draws import Draws

__all__ = ["AUGMENTORS", "Augmentation", "Augmentor", "Draws"]

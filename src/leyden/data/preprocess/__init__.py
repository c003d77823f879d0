"""Preprocessing, learned from the training rows."""

from leyden.data.preprocess.preprocessing import Batches, Preprocessing, Transform
from leyden.data.preprocess.transforms import PREPROCESSORS

__all__ = ["PREPROCESSORS", "Batches", "Preprocessing", "Transform"]

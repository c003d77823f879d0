"""Loaders that know how far they have come, and how each of them is brought back there."""

from leyden.resume.loaders.alike import follow, follower_of
from leyden.resume.loaders.follower import LoaderFollower
from leyden.resume.loaders.samplers import SkippingSampler
from leyden.resume.loaders.ways import FastForward, check_fast_forward

__all__ = [
    "FastForward",
    "LoaderFollower",
    "SkippingSampler",
    "check_fast_forward",
    "follow",
    "follower_of",
]

"""A network without statistics of its batches, for `test_ranks`."""

from collections.abc import Sequence
from math import prod

from torch import nn


def plain(shape: Sequence[int], size: int) -> nn.Module:
    """Make a network of two layers, which takes a process's slice of a batch row by row."""
    hidden = nn.Linear(prod(shape), 8)
    return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(8, size))

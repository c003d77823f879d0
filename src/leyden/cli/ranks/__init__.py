"""A run on several processes, each with a slice of every batch."""

from leyden.cli.ranks.environment import given_ranks, num_ranks
from leyden.cli.ranks.supervision import RanksFailedError, run_ranks
from leyden.cli.ranks.task import RankTask

__all__ = ["RankTask", "RanksFailedError", "given_ranks", "num_ranks", "run_ranks"]

"""A run made again from its folder, up to one of its steps."""

from leyden.cli.replaying.checkpoints import find_checkpoint
from leyden.cli.replaying.runs import replay_run

__all__ = ["find_checkpoint", "replay_run"]

"""Where Lightning learns which process of a run this is.

Lightning starts the other processes of a run by running the command line again. A sub-command, and
what a sweep has chosen for a job, would be lost, and each process would compose a configuration of
its own. So leyden starts them, and tells Lightning that they are there.
"""

import torch
from lightning import Trainer
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from omegaconf import DictConfig
from typing_extensions import override

from leyden.errors import ConfigError

__all__ = ["GivenRanks", "given_ranks", "num_ranks"]


class GivenRanks(LightningEnvironment):
    """Processes on this machine that are there already, so that Lightning starts none."""

    @property
    @override
    def creates_processes_externally(self) -> bool:
        return True


def given_ranks(config: DictConfig) -> dict[str, list[GivenRanks]]:
    """Choose what a trainer is to be given so that its processes are ours.

    Args:
        config: The whole configuration.

    Returns:
        Arguments for the trainer; none for a single process, for several machines, or if the
        configuration has plug-ins of its own.

    Raises:
        ConfigError: If the program was started several times, by ``torchrun``.
    """
    trainer = config.trainer
    if torch.distributed.is_torchelastic_launched():
        raise ConfigError(
            "Expected the program to be started once, but it was started by `torchrun`. Leave "
            "`torchrun` out, and pass trainer.devices=N."
        )
    is_alone = trainer.get("devices") == 1 and trainer.get("strategy", "auto") == "auto"
    if is_alone or trainer.get("num_nodes", 1) != 1 or trainer.get("plugins"):
        return {}
    return {"plugins": [GivenRanks()]}


def num_ranks(trainer: Trainer) -> int:
    """Say how many processes a trainer expects to have been started.

    Args:
        trainer: Made with what ``given_ranks`` has chosen.

    Returns:
        At least 1, which is this process.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    return trainer.world_size if isinstance(environment, GivenRanks) else 1

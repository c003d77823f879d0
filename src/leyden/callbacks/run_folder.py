"""Where callbacks put their files."""

from pathlib import Path

from lightning.pytorch import Trainer

__all__ = ["folder_to_write"]


def folder_to_write(trainer: Trainer) -> Path | None:
    """Find the folder of the run, for the one process that writes there; every process must ask.

    Args:
        trainer: The trainer.

    Returns:
        The folder; ``None`` in other processes than the first, and in a development run
        (``fast_dev_run``), which leaves no files.
    """
    folder = trainer.log_dir or trainer.default_root_dir  # which processes ask for together
    is_trial = trainer.fast_dev_run  # type: ignore[attr-defined] # set outside its class
    return Path(folder) if trainer.is_global_zero and not is_trial else None

"""The counts of a run: steps, batches and epochs, in every loop."""

from typing import Any

from lightning.pytorch import Trainer

__all__ = ["mend_progress", "restore_progress"]

_FLAGS = ("_restarting", "_loaded_from_state_dict", "_resuming_from_checkpoint")


def mend_progress(loops: dict[str, Any]) -> None:
    """Have Lightning take a state that was written within a hook for one between two batches.

    It would count the last batch of an epoch twice, and leave the next epoch out.

    Args:
        loops: What a checkpoint says of the loop of ``fit``; changed in place.
    """
    for name in ("epoch_loop.batch_progress", "epoch_progress"):
        for count in (loops[name]["total"], loops[name]["current"]):
            if (
                count["processed"] == count["completed"] + 1
                and count["processed"] == count["ready"]
            ):
                count["completed"] = count["processed"]
    loops["state_dict"].pop("combined_loader", None)  # leyden brings the loaders back itself


def restore_progress(trainer: Trainer, loops: dict[str, Any]) -> None:
    """Set all counts of a run, as if it had come there by itself.

    Args:
        trainer: The trainer.
        loops: What a checkpoint says of the loop of ``fit``.
    """
    trainer.fit_loop.load_state_dict(loops)
    loop = trainer.fit_loop.epoch_loop
    optimization = (loop.automatic_optimization, loop.manual_optimization)
    for one in (trainer.fit_loop, loop, loop.val_loop, *optimization):
        for flag in _FLAGS:
            setattr(one, flag, False)
        one.reset_restart_stage()

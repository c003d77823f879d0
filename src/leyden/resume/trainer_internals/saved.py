"""What ``ModelCheckpoint`` remembers of its last writing, and leaves out of its state."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

__all__ = ["NAMES", "note_written", "restore_written", "written_state"]

NAMES = (
    "_last_global_step_saved",
    "_last_checkpoint_saved",
    "_defer_save_until_validation",
    "current_score",
)


def written_state(callbacks: Sequence[Checkpoint]) -> list[dict[str, Any]]:
    """Say what each callback remembers of its last writing.

    Args:
        callbacks: All that write checkpoints.
    """
    return [{name: getattr(one, name) for name in NAMES} for one in _of_lightning(callbacks)]


def restore_written(callbacks: Sequence[Checkpoint], states: Sequence[Mapping[str, Any]]) -> None:
    """Have each callback remember it again.

    Args:
        callbacks: As many, in the same order.
        states: What `written_state` returned.
    """
    for one, state in zip(_of_lightning(callbacks), states, strict=False):
        for name, value in state.items():
            setattr(one, name, value)


def note_written(callbacks: Sequence[Checkpoint], path: Path, step: int) -> None:
    """Have the callback remember that it has written a file, which was not yet so in the file.

    Args:
        callbacks: All that write checkpoints.
        path: The file, which may be in the folder of one and of another's making.
        step: Optimizer steps that had been made.
    """
    for one in _of_lightning(callbacks):
        known = (one.best_model_path, one.last_model_path, *one.best_k_models)
        is_beside = one.dirpath is not None and Path(one.dirpath).resolve() == path.resolve().parent
        if is_beside and path.name in [Path(some).name for some in known]:
            one._last_global_step_saved, one._last_checkpoint_saved = step, str(path)


def _of_lightning(callbacks: Sequence[Checkpoint]) -> list[ModelCheckpoint]:
    return [one for one in callbacks if isinstance(one, ModelCheckpoint)]

"""Files that ``ModelCheckpoint`` wrote after the checkpoint that a run goes on from."""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

__all__ = ["files_of", "overwrite_later_files"]


def files_of(callbacks: Sequence[Checkpoint]) -> list[list[str]]:
    """List the files in the folder of each callback.

    Args:
        callbacks: All that write checkpoints.

    Returns:
        Their names, for each callback.
    """
    return [sorted(path.name for path in _folder(callback)) for callback in callbacks]


def overwrite_later_files(callbacks: Sequence[Checkpoint], files: Sequence[Sequence[str]]) -> None:
    """Have callbacks take the names of files that the run will write again for free.

    A run that goes on writes the same files once more; else the callback would put them beside
    the old ones, under other names.

    Args:
        callbacks: All that write checkpoints.
        files: What `files_of` returned when the checkpoint was written.
    """
    for callback, before in zip(callbacks, files, strict=False):
        later = {str(path) for path in _folder(callback) if path.name not in before}
        if later and isinstance(callback, ModelCheckpoint):
            _forget(callback, later)


def _folder(callback: Checkpoint) -> list[Path]:
    folder = getattr(callback, "dirpath", None)
    return list(Path(folder).glob("*")) if folder and Path(folder).is_dir() else []


def _forget(callback: ModelCheckpoint, later: set[str]) -> None:
    exists = callback.file_exists

    def file_exists(filepath: str | Path, trainer: Trainer) -> bool:
        if str(filepath) in later:
            later.discard(str(filepath))
            return False
        return bool(exists(filepath, trainer))

    callback.file_exists = file_exists  # type: ignore[method-assign] # of this object only

"""Files that ``ModelCheckpoint`` wrote after the checkpoint that a run goes on from."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

__all__ = ["files_of", "overwrite_later_files"]


def files_of(callbacks: Sequence[Checkpoint]) -> list[list[str]]:
    """List the files in the folder of each callback.

    Args:
        callbacks: All that write checkpoints.

    Returns:
        Their names, for each callback, without those that the run is yet to write again.
    """
    return [
        sorted(path.name for path in _folder(callback) if str(path) not in _later_of(callback))
        for callback in callbacks
    ]


def overwrite_later_files(
    callbacks: Sequence[Checkpoint],
    files: Sequence[Sequence[str]],
    states: Mapping[str, Mapping[str, Any]],
) -> None:
    """Have callbacks take the names of files that the run will write again for free.

    A run that goes on writes the same files once more; else the callback would put them beside
    the old ones, under other names.

    Args:
        callbacks: All that write checkpoints.
        files: What `files_of` returned when the checkpoint was written.
        states: Of the callbacks, in that checkpoint: one of them may have been writing this very
            file.
    """
    for callback, before in zip(callbacks, files, strict=False):
        if not isinstance(callback, ModelCheckpoint):
            continue
        known = {*before, *_written(states.get(callback.state_key, {}))}
        later = {str(path) for path in _folder(callback) if path.name not in known}
        if later:
            _forget(callback, later)


def _written(state: Mapping[str, Any]) -> list[str]:
    paths = (state.get("best_model_path"), state.get("last_model_path"))
    return [Path(path).name for path in (*paths, *state.get("best_k_models", ())) if path]


def _folder(callback: Checkpoint) -> list[Path]:
    folder = getattr(callback, "dirpath", None)
    return list(Path(folder).glob("*")) if folder and Path(folder).is_dir() else []


def _later_of(callback: Checkpoint) -> set[str]:
    asks = getattr(callback, "file_exists", None)
    return asks.later if isinstance(asks, _Forgetting) else set()


def _forget(callback: ModelCheckpoint, later: set[str]) -> None:
    exists: Any = callback.file_exists
    if isinstance(exists, _Forgetting):  # of an earlier training with this callback
        exists = exists.exists
    callback.file_exists = _Forgetting(exists, later)  # type: ignore[method-assign] # its own


class _Forgetting:
    """Says of some files once that they do not exist.

    Args:
        exists: Says whether a file exists.
        later: The files.
    """

    def __init__(self, exists: Callable[..., bool], later: set[str]) -> None:
        self.exists, self.later = exists, later

    def __call__(self, filepath: str | Path, trainer: Trainer) -> bool:
        if str(filepath) in self.later:
            self.later.discard(str(filepath))
            return False
        return bool(self.exists(filepath, trainer))

"""Checkpoints on disk: plain data with a digest beside it, and the folder of a run."""

from leyden.resume.checkpoints.best_files import files_of, overwrite_later_files
from leyden.resume.checkpoints.checkpoint_file import (
    digest_path_of,
    load,
    save,
    sync_folder,
    verify,
)
from leyden.resume.checkpoints.intervals import Intervals
from leyden.resume.checkpoints.lock import FolderLock
from leyden.resume.checkpoints.plain import as_it_was, as_plain
from leyden.resume.checkpoints.store import CheckpointStore, latest_checkpoint

__all__ = [
    "CheckpointStore",
    "FolderLock",
    "Intervals",
    "as_it_was",
    "as_plain",
    "digest_path_of",
    "files_of",
    "latest_checkpoint",
    "load",
    "overwrite_later_files",
    "save",
    "sync_folder",
    "verify",
]

"""The checkpoints of a run on disk, of which a good one is always there."""

import errno
import logging
import os
import re
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from leyden.errors import ConfigError, ResumeError
from leyden.resume.checkpoints.checkpoint_file import (
    digest_path_of,
    load,
    save,
    sync_folder,
    verify,
)
from leyden.resume.checkpoints.lock import FolderLock
from leyden.resume.checkpoints.plain import as_plain
from leyden.resume.checkpoints.writer import BackgroundWriter
from leyden.resume.rehearsal import where_to_look, where_to_write

__all__ = ["CheckpointStore", "latest_checkpoint", "load", "verify"]

_NAME = re.compile(r"(?P<number>\d{6,})-step=\d+\.ckpt")
_LEFTOVER = re.compile(rf"\.\d+-({_NAME.pattern}(\.sha256)?|probe)")
_LONELY_DIGEST = re.compile(rf"{_NAME.pattern}\.sha256")
_REMEDIES = {
    errno.ENOSPC: "Free space there, or keep fewer checkpoints.",
    errno.EDQUOT: "Free some of your quota, or keep fewer checkpoints.",
    errno.EFBIG: "Raise the limit of file sizes (`ulimit -f`).",
    errno.EACCES: "Make the folder writable.",
    errno.EPERM: "Make the folder writable.",
    errno.EROFS: "Make the file system writable, or choose another folder.",
    errno.EIO: "Check the disk.",
}
_log = logging.getLogger(__name__)


class CheckpointStore:
    """A folder of checkpoints of one run, written so that one good one is always there.

    Files are named by a running number and the step, ``000012-step=3400.ckpt``, so that they sort
    by time even when steps are counted anew. Beside each is its digest, for ``sha256sum -c``. Files
    of other names are left alone.

    Args:
        dirpath: The folder.
        keep: How many good checkpoints stay.

    Raises:
        ConfigError: If ``keep`` is below 1.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     store = CheckpointStore(folder)
        ...     store.open()
        ...     is_durable = store.write({"weight": 0.5}, step=8, wait=True)
        ...     store.close()
        ...     is_durable, latest_checkpoint(folder).name
        (True, '000001-step=8.ckpt')
    """

    def __init__(self, dirpath: str | os.PathLike[str], *, keep: int = 3) -> None:
        if keep < 1:
            raise ConfigError(f"Expected `keep` to be at least 1, but got {keep!r}.")
        self.dirpath = where_to_write(dirpath)
        self._keep = keep
        self._lock = FolderLock(self.dirpath)
        self._writer = BackgroundWriter()
        self._is_good: dict[Path, bool] = {}  # what this process wrote or has verified
        self._told: dict[str, set[str]] = {"write": set(), "prune": set()}

    def open(self) -> None:
        """Make the folder, lock it, try whether it can be written, and clear away what a kill left.

        Raises:
            ConfigError: If the folder cannot be written.
            ResumeError: If another process, or another store, has it open.
        """
        if self._lock.held:
            return
        try:
            _make_folder(self.dirpath)
            self._lock.acquire()
            _clear(self.dirpath)
            _probe(self.dirpath)
        except OSError as error:
            self._lock.release()
            raise ConfigError(_not_writable(self.dirpath, error)) from error
        self._writer = BackgroundWriter()

    def close(self) -> None:
        """Wait until everything is written, and unlock the folder; a second time does nothing.

        Raises:
            Warning: If a write failed and warnings are errors.
        """
        if not self._lock.held:
            return
        self._writer.drain()
        self._lock.release()
        self._writer.surface()

    def write(self, checkpoint: dict[str, Any], *, step: int, wait: bool = False) -> bool | None:
        """Write a checkpoint, in the background.

        While one is being written, one more waits; of several that wait only the newest is written.
        A disk that refuses is a warning, not an error, and the next write is tried all the same.

        Args:
            checkpoint: Nothing changes it from now on: its tensors are copies.
            step: The step after which it was taken, from 0.
            wait: Return when it is on the disk, or could not be written.

        Returns:
            With ``wait``, whether it is on the disk.

        Raises:
            ResumeError: If something in it could not be loaded again, or the store is not open.
            Warning: If an earlier write failed and warnings are errors.
        """
        if not self._lock.held:
            raise ResumeError(
                f"Expected the store of {str(self.dirpath)!r} to be open in this process, but it "
                "is closed. Call `open()` first."
            )
        if step < 0:
            raise ConfigError(f"Expected `step` to be at least 0, but got {step!r}.")
        self._writer.submit(partial(self._write, as_plain(checkpoint), step))
        return self._writer.wait() if wait else None

    def newest(self) -> Path | None:
        """Find the newest good checkpoint; warn of broken ones that are newer.

        Returns:
            Its path, or ``None`` if there is none.
        """
        return _newest_with_warning(self.dirpath)

    def _write(self, checkpoint: dict[str, Any], step: int) -> bool:
        try:
            path = self.dirpath / f"{_next_number(self.dirpath):06d}-step={step}.ckpt"
            save(checkpoint, path)
        except Exception as error:  # noqa: BLE001 - training goes on, whatever it is
            self._report("write", error, f"The checkpoint of step {step} could not be written")
            return False
        self._is_good[path] = True
        if self._told["write"]:
            self._told["write"].clear()
            _log.warning("Checkpoints are written again: %s.", path)
        self._prune()
        return True

    def _prune(self) -> None:
        """Remove what is older than the newest good ones, and by its digest is ours."""
        num_good = 0
        try:
            for path in _numbered(self.dirpath):
                if num_good < self._keep:
                    num_good += self._check(path)
                elif digest_path_of(path).exists():
                    # A reader that comes between the two does not look at a digest alone.
                    path.unlink(missing_ok=True)
                    digest_path_of(path).unlink(missing_ok=True)
            self._told["prune"].clear()
        except OSError as error:
            self._report("prune", error, "Old checkpoints could not be removed")

    def _check(self, path: Path) -> bool:
        if path not in self._is_good:
            self._is_good[path] = verify(path) is None
        return self._is_good[path]

    def _report(self, task: str, error: Exception, what: str) -> None:
        """Warn of a failure, once per kind until the task succeeds again."""
        number = (error.errno or 0) if isinstance(error, OSError) else 0
        reason = os.strerror(number) if number else f"{type(error).__name__}: {error}"
        kind = f"{type(error).__name__} {number}"
        if kind not in self._told[task]:
            self._told[task].add(kind)
            remedy = _REMEDIES.get(number, "See what keeps the folder from being written.")
            warnings.warn(
                f"{what} in {str(self.dirpath)!r}: {reason}. {self._what_is_left()} Training goes "
                f"on, and the next write is tried. {remedy}",
                stacklevel=2,
            )

    def _what_is_left(self) -> str:
        try:
            good = next(filter(self._check, _numbered(self.dirpath)), None)
        except OSError as error:
            return f"What is still good cannot be read ({error.strerror})."
        return f"{good.name} is still good." if good else "There is no good one yet."


def latest_checkpoint(dirpath: str | os.PathLike[str]) -> Path | None:
    """Find the newest good checkpoint of a run, to continue from.

    A broken one is reported by a warning that says what is wrong with it, and the one before is
    used. Nothing is changed, and a run that is still writing is no obstacle.

    Args:
        dirpath: The folder that was given to `leyden.callbacks.ExactResume`.

    Returns:
        Its path, or ``None`` if there is none or no such folder.

    Example:
        >>> latest_checkpoint("no/such/folder") is None
        True
    """
    return _newest_with_warning(where_to_look(dirpath))


def _newest_with_warning(folder: Path) -> Path | None:
    newest, broken = _newest_good(folder)
    if broken:
        listed = "; ".join(f"{name}: {reason}" for name, reason in broken.items())
        used = "There is no good one" if newest is None else f"{newest.name} is used"
        warnings.warn(f"Checkpoints in {str(folder)!r} are broken: {listed}. {used}.", stacklevel=3)
    return newest


def _newest_good(folder: Path) -> tuple[Path | None, dict[str, str]]:
    broken: dict[str, str] = {}
    for path in _numbered(folder):
        reason = verify(path)
        if not path.exists():  # removed meanwhile, because there are newer ones
            return _newest_good(folder)
        if reason is None:
            return path, broken
        broken[path.name] = reason
    return None, broken


def _numbered(folder: Path) -> list[Path]:
    """List the files named as ours, newest first."""
    if not folder.exists():
        return []
    found = [(match, path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    found.sort(key=lambda item: int(item[0]["number"]), reverse=True)
    return [path for _, path in found]


def _next_number(folder: Path) -> int:
    newest = next(iter(_numbered(folder)), None)
    return int(newest.name.partition("-")[0]) + 1 if newest else 1


def _make_folder(folder: Path) -> None:
    """Make a folder whose name is on the disk, and those of its parents."""
    made = [folder for folder in (folder, *folder.parents) if not folder.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in made:
        sync_folder(path.parent)


def _clear(folder: Path) -> None:
    """Remove what a write that was cut off has left; the folder is locked."""
    for path in folder.iterdir():
        is_lonely = _LONELY_DIGEST.fullmatch(path.name) and not path.with_suffix("").exists()
        if is_lonely or _LEFTOVER.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _probe(folder: Path) -> None:
    """Write something, because what modes say does not bind root, quotas or servers."""
    path = folder / f".{os.getpid()}-probe"
    try:
        with path.open("wb") as file:
            file.write(b"leyden")
            file.flush()
            os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)


def _not_writable(folder: Path, error: OSError) -> str:
    reason = os.strerror(error.errno) if error.errno else str(error)
    remedy = _REMEDIES.get(error.errno or 0, "Choose another folder.")
    return (
        "Expected `dirpath` to be a folder that can be written, but got "
        f"{str(folder)!r} ({reason}). {remedy}"
    )

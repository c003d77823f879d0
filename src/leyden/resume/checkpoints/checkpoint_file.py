"""One checkpoint on disk: a file of plain data, and its digest beside it."""

import hashlib
import os
import re
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any, cast

import torch

from leyden.errors import MissingPathError, ResumeError
from leyden.files import replacing
from leyden.resume.checkpoints.plain import as_it_was

__all__ = ["digest_path_of", "load", "save", "sync_folder", "verify"]

_CHUNK = 1 << 20  # bytes hashed and written at a time, without the interpreter's lock
_END, _END_SIZE = b"PK\x05\x06", 22  # the last record of a zip archive, as torch writes it
_DIGEST = re.compile(r"(?P<digest>[0-9a-f]{64})[ ][ *].+\n?")  # a line of sha256sum
_UNREADABLE = (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError)


def digest_path_of(path: Path) -> Path:
    """Say where the digest of a checkpoint is.

    Args:
        path: The checkpoint.

    Returns:
        A path in the same folder, of a file that ``sha256sum -c`` understands.

    Example:
        >>> digest_path_of(Path("000001-step=8.ckpt")).name
        '000001-step=8.ckpt.sha256'
    """
    return path.with_name(f"{path.name}.sha256")


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint and its digest, and return when both would survive a power cut.

    Args:
        checkpoint: Plain data, as `as_plain` returns it.
        path: A file that does not exist.

    Raises:
        OSError: If the disk refuses; neither file is there then, and no other was touched.
    """
    digest_path = digest_path_of(path)
    try:
        with replacing(path) as temporary:
            digest = _stream(checkpoint, temporary)
            # The digest gets its name first, the checkpoint second. Between the two a reader meets
            # a digest alone, which it does not look at, and uses the checkpoint before. In the
            # other order it would meet a checkpoint that it cannot tell from a broken one.
            with replacing(digest_path) as note:
                note.write_text(f"{digest}  {path.name}\n")
        sync_folder(path.parent)  # from here on old checkpoints may go
    except BaseException:
        if not path.exists():
            digest_path.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk.

    Args:
        folder: The folder.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def verify(path: Path) -> str | None:
    """Compare a checkpoint with its digest.

    Args:
        path: The checkpoint.

    Returns:
        Why it is broken, or ``None`` if it is good.
    """
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return "it is empty"
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        noted = _DIGEST.fullmatch(digest_path_of(path).read_text("ascii", "replace"))
        if noted and noted["digest"] == digest:
            return None
        return _difference(path) if noted else f"{digest_path_of(path).name} is not a digest"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint, without running anything that may be in it.

    Args:
        path: The checkpoint. Where its digest is beside it, the two are compared first.

    Returns:
        What was given to be written, tensors on the cpu.

    Raises:
        MissingPathError: If there is no such file.
        ResumeError: If the file is broken, or holds something else than plain data.
    """
    path = Path(path)
    if not path.exists():
        raise _missing(path)
    reason = verify(path) if digest_path_of(path).exists() else None
    if reason is not None:
        raise ResumeError(_not_a_checkpoint(path, reason))
    try:
        checkpoint = torch.load(path, weights_only=True, map_location="cpu")
        return as_it_was(checkpoint)
    except FileNotFoundError as error:  # it was removed just now
        raise _missing(path) from error
    except UnpicklingError as error:
        reason = "it holds something else than plain data, which was not run"
        raise ResumeError(_not_a_checkpoint(path, reason)) from error
    except _UNREADABLE as error:
        # What a damaged archive makes torch raise, or one of something else than a dict us.
        raise ResumeError(_not_a_checkpoint(path, "it is no checkpoint, or damaged")) from error


def _missing(path: Path) -> MissingPathError:
    return MissingPathError(f"Expected a checkpoint, but got {str(path)!r}, which is missing.")


def _not_a_checkpoint(path: Path, reason: str) -> str:
    return f"Expected a checkpoint, but got {str(path)!r}: {reason}. Use another one."


def _difference(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(-min(_END_SIZE, path.stat().st_size), os.SEEK_END)
        if file.read().startswith(_END):
            return "its content differs from its digest"
    return "its content differs from its digest, its end is missing (truncated)"


def _stream(checkpoint: dict[str, Any], path: Path) -> str:
    """Write a checkpoint as it is serialized; return the digest."""
    with path.open("wb") as file:
        hashing = _HashingFile(file)
        torch.save(checkpoint, cast("IO[bytes]", hashing))
        if hashing.error is not None:
            raise hashing.error
        file.flush()
        os.fsync(file.fileno())
    return hashing.digest


class _HashingFile:
    """A file that knows the digest of what went into it.

    An error is kept for whoever reads ``error``: torch would turn it into one of its own, which
    does not say what the disk said.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, hashlib.sha256()
        self.error: OSError | None = None

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        try:
            for start in range(0, len(view) if self.error is None else 0, _CHUNK):
                chunk = view[start : start + _CHUNK]
                self._hash.update(chunk)
                self._file.write(chunk)
        except OSError as error:
            self.error = error
        return len(view)

    def flush(self) -> None:
        """Nothing: whoever opened the file flushes it."""

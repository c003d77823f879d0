"""Files that are there whole or not at all, and places where none can be."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leyden.errors import LeydenError, WriteError

__all__ = [
    "check_place",
    "make_folder",
    "placing",
    "refuse_input",
    "refuse_other_kind",
    "replacing",
]

_MISPLACED = {  # what is wrong with a place, rather than with a disk
    errno.EACCES: "that may not be written to",
    errno.EEXIST: "something else is there",
    errno.EINVAL: "no file can be called that",
    errno.EISDIR: "that is a folder",
    errno.ELOOP: "its links lead in a circle",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOENT: "no folder can be made there",
    errno.ENOTDIR: "something else is there",
    errno.EPERM: "that may not be written to",
    errno.EROFS: "the file system is read-only",
}
_TAKEN = (errno.EEXIST, errno.ENOTDIR)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file so that a reader, or a power cut, never meets half of it.

    The body writes to the path it is given; the file takes its place when the body ends well. Until
    then, and if the body raises, whatever was at ``path`` stays.

    Args:
        path: The file to make or replace; its folder is made if it does not exist.

    Yields:
        A hidden name in the same folder.

    Raises:
        WriteError: If no file can be there; before the body does anything.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with replacing(Path(folder, "note.txt")) as temporary:
        ...         _ = temporary.write_text("done")
        ...     Path(folder, "note.txt").read_text()
        'done'
    """
    temporary = check_place(path)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_place(path: Path) -> Path:
    """Make sure that a file can be written, before work is done for it.

    Args:
        path: The file to make or replace; its folder is made if it does not exist.

    Returns:
        A hidden name in the same folder, which no file has.

    Raises:
        WriteError: If no file can be there.
    """
    with placing(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        # The extension stays last: some writers choose the format by it.
        temporary = path.with_name(f".{os.getpid()}-{path.name}")
        temporary.touch()
        temporary.unlink()
    return temporary


def make_folder(folder: Path) -> Path:
    """Make a folder, and those that it is in, unless it exists.

    Args:
        folder: The folder.

    Returns:
        ``folder``.

    Raises:
        WriteError: If there can be no such folder.
    """
    with placing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def refuse_input(output: Path, *inputs: Path) -> None:
    """Make sure that what is written does not take the place of what it is made from.

    Args:
        output: The file to make or replace.
        inputs: What is read; of a folder, everything in it.

    Raises:
        WriteError: If it would.
    """
    with placing(output):
        target = output.resolve()
        for path in (source.resolve() for source in inputs):
            if target == path or (path.is_dir() and path in target.parents):
                problem = f"Expected a place beside {str(path)!r}, which is read"
                raise WriteError(f"{problem}, but got {str(output)!r}. Choose another place.")


def refuse_other_kind(output: Path, *endings: str) -> None:
    """Make sure that no file of another kind, such as one of data, is replaced by a slip.

    Args:
        output: The file to make or replace.
        endings: How the names of files end that may be replaced, with their dots.

    Raises:
        WriteError: If a file is there whose name ends otherwise.
    """
    with placing(output):
        if output.is_file() and output.suffix.lower() not in endings:
            problem = f"Expected a file that may be replaced, but {str(output)!r} exists"
            raise WriteError(f"{problem}. Choose a new name, or one that ends in {endings[0]}.")


@contextmanager
def placing(path: Path) -> Iterator[None]:
    """Tell in words why there can be no such file or folder.

    Args:
        path: What the body begins to make.

    Raises:
        WriteError: If the body raises an error of the system's that is due to the path; others, as
            of a full disk, are handed on.
    """
    try:
        yield
    except LeydenError:
        raise
    except ValueError as error:  # a path with a NUL
        raise _refusal(path, errno.EINVAL) from error
    except RuntimeError as error:
        if "Symlink loop" not in str(error):  # of Path.resolve, before Python 3.13
            raise
        raise _refusal(path, errno.ELOOP) from error
    except OSError as error:
        if error.errno not in _MISPLACED:
            raise
        raise _refusal(path, error.errno) from error


def _refusal(path: Path, number: int) -> WriteError:
    places = (path, *path.parents) if number in _TAKEN else path.parents
    files = [str(place) for place in places if os.path.isfile(place)]  # noqa: PTH113 - a name that is too long is no file
    reason = f"{files[0]!r} is a file" if files else _MISPLACED[number]
    problem = f"Expected a place that can be written to, but got {str(path)!r}: {reason}."
    return WriteError(f"{problem} Choose another place.", number)


def _sync(path: Path) -> None:
    """Have the content on the disk before the name points to it."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())

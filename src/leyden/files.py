"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file so that a reader, or a power cut, never meets half of it.

    The body writes to the path it is given; the file takes its place when the body ends well. Until
    then, and if the body raises, whatever was at ``path`` stays.

    Args:
        path: The file to make or replace; its folder is made if it does not exist.

    Yields:
        A hidden name in the same folder.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with replacing(Path(folder, "note.txt")) as temporary:
        ...         _ = temporary.write_text("done")
        ...     Path(folder, "note.txt").read_text()
        'done'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The extension stays last: some writers choose the format by it.
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Have the content on the disk before the name points to it."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())

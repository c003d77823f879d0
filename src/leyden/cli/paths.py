"""Paths as people are shown them, and as runs keep them."""

from pathlib import Path

from leyden.runs import RunDir

__all__ = ["inside", "short_path"]


def short_path(path: Path) -> Path:
    """Shorten a path that is below the current directory."""
    return _below(path.absolute(), Path.cwd()) or path


def inside(run: RunDir, path: Path) -> str:
    """Name a file by its place in the run, which may be moved; others by their whole path."""
    absolute = path.absolute()
    return str(_below(absolute, run.path.absolute()) or absolute)


def _below(path: Path, folder: Path) -> Path | None:
    return path.relative_to(folder) if path.is_relative_to(folder) else None

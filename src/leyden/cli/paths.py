"""Paths as people are shown them, and as runs keep them."""

from pathlib import Path

from leyden.runs import RunDir

__all__ = ["SWEEP_FILE", "inside", "is_sweep", "short_path"]

SWEEP_FILE = "sweep.json"
"""What is known of a sweep, in its folder."""


def short_path(path: Path) -> Path:
    """Shorten a path that is below the current directory."""
    return _below(path.absolute(), Path.cwd()) or path


def inside(run: RunDir, path: Path) -> str:
    """Name a file by its place in the run, which may be moved; others by their whole path."""
    absolute = path.absolute()
    return str(_below(absolute, run.path.absolute()) or absolute)


def is_sweep(folder: Path) -> bool:
    """Say whether a folder is that of a sweep, whose jobs are the runs."""
    return (folder / SWEEP_FILE).is_file()


def _below(path: Path, folder: Path) -> Path | None:
    return path.relative_to(folder) if path.is_relative_to(folder) else None

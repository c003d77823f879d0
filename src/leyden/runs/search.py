"""Runs that are on disk already."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from leyden.errors import DataError, MissingPathError
from leyden.runs.layout import RunDir
from leyden.runs.manifest import RunStatus, read_manifest

__all__ = ["find_unfinished", "run_of"]


def run_of(checkpoint: Path) -> RunDir | None:
    """Find the run that a checkpoint belongs to.

    Args:
        checkpoint: A file.

    Returns:
        The run in whose ``checkpoints`` it lies; ``None`` if it lies elsewhere.
    """
    run = RunDir(checkpoint.parent.parent)
    is_in_run = checkpoint.parent == run.checkpoints_dir and run.manifest_path.is_file()
    return run if is_in_run else None


def find_unfinished(parent: Path, config_digest: str) -> list[RunDir]:
    """List the runs of one configuration that are not finished.

    Args:
        parent: Where runs lie, in folders of days.
        config_digest: Identity of the configuration.

    Returns:
        Those started last come first. Jobs of sweeps are left out.
    """
    found = [
        (facts["timings"]["start"], run)
        for run, facts in _manifests(parent)
        if facts.get("config_digest") == config_digest
        and facts.get("status") != RunStatus.FINISHED.value
    ]
    return [run for _, run in sorted(found, key=lambda item: item[0], reverse=True)]


def _manifests(parent: Path) -> Iterator[tuple[RunDir, dict[str, Any]]]:
    for path in parent.glob("*/*/run.json"):
        try:
            facts = read_manifest(path)
        except (DataError, MissingPathError):  # broken, or removed meanwhile
            continue
        if isinstance(facts.get("timings"), dict):
            yield RunDir(path.parent), facts

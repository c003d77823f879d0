"""Runs that are on disk already."""

import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from leyden.errors import DataError, MissingPathError
from leyden.runs.layout import RunDir
from leyden.runs.manifest import RunStatus, read_manifest

__all__ = ["find_unfinished", "list_runs", "run_of", "standing"]


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
        for run, facts in _manifests(parent, "*/*/run.json")
        if facts.get("config_digest") == config_digest
        and facts.get("status") != RunStatus.FINISHED.value
    ]
    return [run for _, run in sorted(found, key=lambda item: item[0], reverse=True)]


def list_runs(parent: Path) -> list[tuple[RunDir, dict[str, Any]]]:
    """List all runs below a folder, jobs of sweeps among them.

    Args:
        parent: Where to look; the folder of a run or of a sweep, too.

    Returns:
        Each run and what its ``run.json`` says; those started last come first. What cannot be read
        is left out.
    """
    found = list(_manifests(parent, "**/run.json"))
    return sorted(found, key=lambda item: float(item[1]["timings"]["start"]), reverse=True)


def standing(facts: Mapping[str, Any]) -> RunStatus:
    """Say how a run stands; one that was killed could not say so itself.

    Args:
        facts: What its ``run.json`` says.

    Example:
        >>> standing({"status": "finished"}).value
        'finished'
    """
    status = RunStatus(facts["status"])
    is_here = facts.get("host") == platform.node()
    if status is RunStatus.RUNNING and is_here and not psutil.pid_exists(int(facts["pid"])):
        return RunStatus.INTERRUPTED
    return status


def _manifests(parent: Path, pattern: str) -> Iterator[tuple[RunDir, dict[str, Any]]]:
    for path in parent.glob(pattern):
        try:
            facts = read_manifest(path)
        except (DataError, MissingPathError):  # broken, or removed meanwhile
            continue
        if isinstance(facts.get("timings"), dict):
            yield RunDir(path.parent), facts

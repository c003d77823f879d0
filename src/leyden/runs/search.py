"""Runs that are on disk already."""

import logging
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from leyden.errors import DataError, MissingPathError
from leyden.runs.layout import RunDir
from leyden.runs.manifest import RunStatus, read_manifest

__all__ = ["find_unfinished", "list_runs", "read_run", "run_of", "standing"]

_log = logging.getLogger(__name__)
_COPIES = {"mlflow", "wandb"}  # folders in which trackers keep what a run has handed them
_CLOCK_SLACK = 60.0  # seconds by which the clock may have been set; no pid comes around so soon


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
        is left out, and named in the log.
    """
    found = list(_manifests(parent, "**/run.json"))
    return sorted(found, key=lambda item: float(item[1]["timings"]["start"]), reverse=True)


def standing(facts: Mapping[str, Any]) -> RunStatus:
    """Say how a run stands; one that was killed could not say so itself.

    Of a run that began on another machine, nothing but what it says is known.

    Args:
        facts: What its ``run.json`` says.

    Example:
        >>> standing({"status": "finished"}).value
        'finished'
    """
    status = RunStatus(facts["status"])
    is_here = facts.get("host") == platform.node()
    if status is RunStatus.RUNNING and is_here and not _is_alive(facts):
        return RunStatus.INTERRUPTED
    return status


def _is_alive(facts: Mapping[str, Any]) -> bool:
    """Say whether the process of a run is there, and not another one with its number."""
    try:
        process = psutil.Process(int(facts["pid"]))
        began, is_zombie = process.create_time(), process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    noted = facts.get("process_start")
    is_other = isinstance(noted, int | float) and abs(began - noted) > _CLOCK_SLACK
    return not (is_zombie or is_other)


def read_run(run: RunDir) -> dict[str, Any]:
    """Read what is known about a run, and see that it is enough to tell how it stands.

    Args:
        run: The run.

    Raises:
        MissingPathError: If the folder is not that of a run.
        DataError: If its ``run.json`` is broken.
    """
    if not run.manifest_path.exists():
        is_there = "has no run.json" if run.path.is_dir() else "does not exist"
        problem = f"Expected the folder of a run, but got {str(run.path)!r}"
        raise MissingPathError(
            f"{problem}, which {is_there}. `leyden runs` lists those below runs/."
        )
    facts = read_manifest(run.manifest_path)
    timings, status = facts.get("timings"), facts.get("status")
    began = timings.get("start") if isinstance(timings, dict) else None
    if status not in set(RunStatus) or not isinstance(began, int | float):
        problem = "Expected a run's status and the time when it began"
        raise DataError(f"{problem}, but they are not in {run.manifest_path}. Remove the file.")
    return facts


def _manifests(parent: Path, pattern: str) -> Iterator[tuple[RunDir, dict[str, Any]]]:
    for path in parent.glob(pattern):
        if _COPIES & set(path.relative_to(parent).parts):
            continue
        run = RunDir(path.parent)
        try:
            yield run, read_run(run)
        except MissingPathError:  # removed meanwhile
            continue
        except DataError as error:
            _log.warning("Left out: %s", error)

"""One execution on disk: where its files are, and what is known about it."""

from leyden.runs.hardware import hardware_info, versions
from leyden.runs.layout import RunDir, claim_dir
from leyden.runs.manifest import RunManifest, RunStatus, read_manifest
from leyden.runs.relocation import relocate
from leyden.runs.search import find_unfinished, list_runs, read_run, run_of, standing
from leyden.runs.snapshot import SnapshotLimits, keep_code, snapshot_dirs

__all__ = [
    "RunDir",
    "RunManifest",
    "RunStatus",
    "SnapshotLimits",
    "claim_dir",
    "find_unfinished",
    "hardware_info",
    "keep_code",
    "list_runs",
    "read_manifest",
    "read_run",
    "relocate",
    "run_of",
    "snapshot_dirs",
    "standing",
    "versions",
]

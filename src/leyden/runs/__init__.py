"""One execution on disk: where its files are, and what is known about it."""

from leyden.runs.hardware import hardware_info, versions
from leyden.runs.layout import RunDir, claim_dir
from leyden.runs.manifest import RunManifest, RunStatus, read_manifest
from leyden.runs.naming import build_name, encode_best, encode_value, next_number
from leyden.runs.relocation import relocate
from leyden.runs.search import find_unfinished, list_runs, read_run, run_of, standing
from leyden.runs.snapshot import SnapshotLimits, keep_code, snapshot_dirs

__all__ = [
    "RunDir",
    "RunManifest",
    "RunStatus",
    "SnapshotLimits",
    "build_name",
    "claim_dir",
    "encode_best",
    "encode_value",
    "find_unfinished",
    "hardware_info",
    "keep_code",
    "list_runs",
    "next_number",
    "read_manifest",
    "read_run",
    "relocate",
    "run_of",
    "snapshot_dirs",
    "standing",
    "versions",
]

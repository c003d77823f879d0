"""One execution on disk: where its files are, and what is known about it."""

from leyden.runs.hardware import hardware_info, versions
from leyden.runs.layout import RunDir, claim_dir
from leyden.runs.manifest import RunManifest, RunStatus, read_manifest
from leyden.runs.naming import build_name, encode_best, encode_value, next_number
from leyden.runs.relocation import relocate
from leyden.runs.search import find_unfinished, list_runs, run_of, standing

__all__ = [
    "RunDir",
    "RunManifest",
    "RunStatus",
    "build_name",
    "claim_dir",
    "encode_best",
    "encode_value",
    "find_unfinished",
    "hardware_info",
    "list_runs",
    "next_number",
    "read_manifest",
    "relocate",
    "run_of",
    "standing",
    "versions",
]

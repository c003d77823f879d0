"""One execution on disk: where its files are, and what is known about it."""

from leyden.runs.hardware import hardware_info, versions
from leyden.runs.layout import RunDir, claim_dir
from leyden.runs.manifest import RunManifest, RunStatus, read_manifest

__all__ = [
    "RunDir",
    "RunManifest",
    "RunStatus",
    "claim_dir",
    "hardware_info",
    "read_manifest",
    "versions",
]

"""A rehearsal of somebody's training: bounded, interrupted where it is told to be, and apart.

``leyden verify-resume`` starts a training command with ``LEYDEN_VERIFY`` set to a folder. While it
is set, checkpoints are written to that folder and looked for there, so that those of real runs
stay untouched. What is to happen in the process that has been started is in a file there.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from typing_extensions import override

__all__ = [
    "VARIABLE",
    "How",
    "Interruption",
    "Rehearsal",
    "Where",
    "asked_for",
    "where_to_look",
    "where_to_write",
]

VARIABLE = "LEYDEN_VERIFY"
_FILE = "start.json"
_asked: dict[str, str] = {}  # folders in which this process looked for a checkpoint, what it found


class How(StrEnum):
    """How a run is interrupted."""

    SIGINT = "SIGINT"
    SIGTERM = "SIGTERM"
    SIGKILL = "SIGKILL"
    EXCEPTION = "exception"


class Where(StrEnum):
    """Where in a run it is interrupted."""

    STEP = "in the step"
    MOMENT = "at a random moment"
    VALIDATION = "in the validation"
    WRITE = "while a checkpoint is written"


@dataclass(frozen=True, slots=True)
class Interruption:
    """One interruption.

    Attributes:
        how: What is done to the process.
        where: In which place.
        batch: Index of the batch of training, counted through all epochs.
        record: For a validation, number of the record of one of its batches.
        fraction: For a random moment, the part of a step's duration that passes, in [0, 1).
    """

    how: How
    where: Where
    batch: int
    record: int = -1
    fraction: float = 0.0

    @override
    def __str__(self) -> str:
        return f"{self.how} {self.where}, batch {self.batch}"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What is to happen in one process.

    Attributes:
        folder: Of the verification.
        start: Number of the process; 0 is the one that is not interrupted.
        steps: Batches of training after which the run ends.
        interruption: What ends the process before that.
        write_at: Batches after which a checkpoint is written.
    """

    folder: Path
    start: int
    steps: int
    interruption: Interruption | None = None
    write_at: tuple[int, ...] = ()

    @property
    def run_dir(self) -> Path:
        """The folder of checkpoints, whatever they are called otherwise."""
        return self.folder / "run"

    @property
    def first_dir(self) -> Path:
        """A copy of ``run_dir`` as it was before the first batch of the uninterrupted run."""
        return self.folder / "first"

    def records_path(self, rank: int) -> Path:
        """The file in which a process writes down what it does."""
        return self.folder / f"start-{self.start:03d}-rank-{rank}.jsonl"

    def save(self) -> None:
        """Have processes that are started from now on do this."""
        content = asdict(self) | {"folder": str(self.folder)}
        (self.folder / _FILE).write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def current(cls) -> "Rehearsal | None":
        """What is to happen in this process; ``None`` outside of a verification."""
        folder = os.environ.get(VARIABLE)
        if not folder:
            return None
        content = json.loads(Path(folder, _FILE).read_text(encoding="utf-8"))
        one: dict[str, Any] | None = content.pop("interruption")
        if one is not None:
            places = {"how": How(one["how"]), "where": Where(one["where"])}
            content["interruption"] = Interruption(**{**one, **places})
        return cls(**{**content, "folder": Path(folder), "write_at": tuple(content["write_at"])})


def where_to_write(dirpath: str | os.PathLike[str]) -> Path:
    """Say where a folder of checkpoints is in this process.

    Args:
        dirpath: What the user calls it.

    Returns:
        The folder itself, or the one in its place during a verification.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        return Path(dirpath)
    absolute = os.path.abspath(dirpath)  # noqa: PTH100 - links are left as they are named
    name = f"{Path(absolute).name}-{hashlib.sha256(absolute.encode()).hexdigest()[:8]}"
    return Path(folder, "run", name)


def where_to_look(dirpath: str | os.PathLike[str]) -> Path:
    """Say where to look for checkpoints; during a verification, note that somebody did.

    Args:
        dirpath: What the user calls the folder.
    """
    folder = where_to_write(dirpath)
    if os.environ.get(VARIABLE):
        _asked[str(folder)] = str(dirpath)
    return folder


def asked_for() -> dict[str, str]:
    """List the folders in which this process looked for a checkpoint, and the user's names."""
    return dict(_asked)

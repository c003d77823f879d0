"""Incidents on disk."""

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from leyden.errors import DataError, MissingPathError
from leyden.files import replacing
from leyden.incidents.kept_batch import kept_batch
from leyden.resume import as_plain, load
from leyden.resume.checkpoints import save, sync_folder

__all__ = ["FACTS", "Incident", "IncidentFolder", "read_incident", "real_number"]

FACTS = "incident.json"
_VERSION = 1


class IncidentFolder:
    """The folder of one incident while it is written; it gets its name when all is there.

    Args:
        parent: The folder of all incidents.
        name: What it is to be called.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as parent:
        ...     folder = IncidentFolder(Path(parent), "37")
        ...     folder.begin()
        ...     folder.write_state({"step": 37})
        ...     folder.finish({"step": 37, "loss": math.nan})
        ...     read_incident(Path(parent, "37")).facts["loss"]
        'nan'
    """

    def __init__(self, parent: Path, name: str) -> None:
        self.path = parent / name
        self._temporary = parent / f".{name}-unfinished"

    def begin(self) -> None:
        """Make the folder, and clear away what a kill has left of an earlier one."""
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(parents=True)

    def write_batch(self, tensors: Mapping[str, Tensor], *, rank: int = 0) -> None:
        """Write the tensors of a batch.

        Args:
            tensors: By name, in main memory.
            rank: Of the process whose batch it is.
        """
        self._temporary.mkdir(parents=True, exist_ok=True)  # which the disk of another host has not
        with replacing(self._temporary / _of_rank("batch.safetensors", rank)) as path:
            save_file(dict(tensors), path)

    def write_state(self, state: dict[str, Any], *, rank: int = 0) -> None:
        """Write a state.

        Args:
            state: Plain data and tensors.
            rank: Of the process whose state it is.

        Raises:
            ResumeError: If there is something in it that could not be loaded again.
        """
        self._temporary.mkdir(parents=True, exist_ok=True)
        save(as_plain(state), self._temporary / _of_rank("state.ckpt", rank))

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Write what is known, and give the folder its name.

        Args:
            facts: Plain values; NaN and the infinities become texts.
        """
        text = json.dumps({"version": _VERSION, **_plain(facts)}, indent=1, allow_nan=False)
        with replacing(self._temporary / FACTS) as path:
            path.write_text(text + "\n", encoding="utf-8")
        sync_folder(self._temporary)
        self._temporary.rename(self.path)
        sync_folder(self.path.parent)

    def abandon(self) -> None:
        """Remove what was written."""
        shutil.rmtree(self._temporary, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident that was kept.

    Args:
        path: Its folder.
        facts: What ``incident.json`` says.
    """

    path: Path
    facts: Mapping[str, Any]

    @property
    def step(self) -> int:
        """The optimizer step, from one."""
        return int(self.facts["step"])

    @property
    def ranks(self) -> list[Mapping[str, Any]]:
        """What each process had to say; only one did in a run of one."""
        return list(self.facts.get("ranks", [self.facts]))

    def state(self, rank: int) -> dict[str, Any]:
        """Read the weights before the step, the state of optimizers, and how the step began.

        Args:
            rank: Of a process.

        Raises:
            DataError: If it was not kept.
        """
        if self.facts.get("state_problem"):
            raise DataError(
                f"Expected the state before the step in {str(self.path)!r}, but it was not kept: "
                f"{self.facts['state_problem']} Replay the run instead."
            )
        state = load(self.path / "state.ckpt")
        if rank:
            state |= load(self.path / _of_rank("state.ckpt", rank))
        return state

    def batch(self, rank: int) -> Any:
        """Read the batch.

        Args:
            rank: Of the process whose batch it is.

        Raises:
            DataError: If a part of it was of a type that is not kept.
        """
        structure = self.ranks[rank]["batch_structure"]
        if structure is None:
            raise DataError(
                f"Expected a batch in {str(self.path)!r}, but the step draws its batches itself. "
                "Replay the run instead."
            )
        path = self.path / _of_rank("batch.safetensors", rank)
        return kept_batch(structure, load_file(path) if path.exists() else {})


def read_incident(path: Path) -> Incident:
    """Read what is known of an incident.

    Args:
        path: Its folder.

    Raises:
        MissingPathError: If there is none.
        DataError: If it cannot be read.
    """
    try:
        facts = json.loads((path / FACTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingPathError(
            f"Expected the folder of an incident, but got {str(path)!r}, which has no {FACTS}."
        ) from None
    except ValueError as error:
        raise DataError(f"Expected {FACTS} to be JSON, but got '{error}' in {path}.") from error
    if not isinstance(facts, dict) or facts.get("version") != _VERSION:
        found = facts.get("version") if isinstance(facts, dict) else facts
        raise DataError(f"Expected {FACTS} of version {_VERSION}, but got {found!r} in {path}.")
    return Incident(path, facts)


def real_number(value: float | str | None) -> float | None:
    """Read a number from the facts about an incident.

    Args:
        value: A number, or ``nan``, ``inf`` or ``-inf``, for which JSON has no numbers.

    Example:
        >>> real_number("inf"), real_number(0.5)
        (inf, 0.5)
    """
    return None if value is None else float(value)


def _plain(value: Any) -> Any:
    """Write numbers so that JSON has them: NaN and the infinities as texts."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _of_rank(name: str, rank: int) -> str:
    stem, _, extension = name.partition(".")
    return name if rank == 0 else f"{stem}-rank{rank}.{extension}"

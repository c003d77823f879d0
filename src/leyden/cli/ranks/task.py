"""What the processes of a run are told, and what they tell."""

import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from leyden.cli.start import Origin
from leyden.config import conf_dir, explain
from leyden.files import replacing
from leyden.runs import RunDir

__all__ = ["RankError", "RankTask"]


@dataclass(frozen=True, slots=True)
class RankError:
    """Why a process of a run ended.

    Args:
        time: When, in seconds since the epoch.
        kind: Name of the class of the exception.
        text: What a user is told about a slip of theirs, or the traceback of a bug.
        is_slip: Which of the two it is.
    """

    time: float
    kind: str
    text: str
    is_slip: bool


@dataclass(frozen=True, slots=True)
class RankTask:
    """A folder through which a run and its processes speak to each other.

    Args:
        path: The folder.
    """

    path: Path

    def write(self, config: Mapping[str, Any], origin: Origin | None) -> None:
        """Say what is to be trained.

        Args:
            config: The whole configuration, resolved, in plain containers.
            origin: The checkpoint to start from, if any.
        """
        task: dict[str, Any] = {"config": config, "origin": None}
        if origin is not None:
            run = None if origin.run is None else str(origin.run.path.absolute())
            task["origin"] = {"checkpoint": str(origin.checkpoint.absolute()), "run": run}
        OmegaConf.save(OmegaConf.create(task), self.path / "task.yaml")

    def read(self) -> tuple[DictConfig, Origin | None]:
        """Learn what is to be trained, and from what."""
        task = OmegaConf.load(self.path / "task.yaml")
        origin = task.origin
        if origin is None:
            return task.config, None
        run = None if origin.run is None else RunDir(Path(origin.run))
        return task.config, Origin(Path(origin.checkpoint), run)

    def write_outcome(self, outcome: Mapping[str, Any]) -> None:
        """Say what came out so far.

        Args:
            outcome: Numbers and texts by name.
        """
        with replacing(self.path / "outcome.json") as temporary:
            temporary.write_text(json.dumps(outcome), encoding="utf-8")

    def read_outcome(self) -> dict[str, Any]:
        """Learn what came out so far; nothing if no process has said so."""
        path = self.path / "outcome.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def write_error(self, rank: int, error: Exception, when: float) -> None:
        """Say why a process ends.

        Args:
            rank: Which of them.
            error: What it raised.
            when: Seconds since the epoch.
        """
        line = explain(error, conf_dir(), "train")
        text = "".join(traceback.format_exception(error)) if line is None else line
        facts = {"time": when, "kind": type(error).__name__, "text": text}
        with replacing(self.path / f"error-{rank}.json") as temporary:
            temporary.write_text(json.dumps({**facts, "is_slip": line is not None}))

    def read_error(self, rank: int) -> RankError | None:
        """Learn why a process ended.

        Args:
            rank: Which of them.

        Returns:
            The reason; ``None`` if it gave none.
        """
        path = self.path / f"error-{rank}.json"
        return RankError(**json.loads(path.read_text())) if path.exists() else None

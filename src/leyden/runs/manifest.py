"""What is known about a run, kept in its ``run.json``."""

import json
import math
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self, SupportsFloat

import psutil

from leyden.errors import DataError, MissingPathError
from leyden.files import replacing
from leyden.runs.hardware import hardware_info, versions
from leyden.runs.layout import RunDir
from leyden.runs.naming import encode_best

__all__ = ["RunManifest", "RunStatus", "read_manifest"]

_VERSION = 1
_SIGNAL_CODES = (130, 143)  # what a shell makes of SIGINT and SIGTERM


class RunStatus(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class RunManifest:
    """Keep a run's ``run.json`` true from its start to its end, whatever the end is.

    Use it as a context manager around the run. Exceptions pass through. In a folder that has a
    ``run.json`` already, the earlier starts are kept in its list ``starts`` and everything else
    describes this start. With several ranks, only rank zero enters it.

    Args:
        run: The folder of the run.
        command: What was typed; this process's arguments if ``None``.
        config_digest: Identity of the resolved configuration.
        seeds: Every seed by name.
        parents: What the run goes on from, besides what it went on from at earlier starts.
        debug: Name of the way in which it is only a trial; ``None`` for a run that counts.

    Raises:
        DataError: On entering, if the folder has a ``run.json`` that cannot be read.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     run = RunDir(Path(folder))
        ...     with RunManifest(run, seeds={"all": 0}) as manifest:
        ...         manifest.add_results({"val/loss": 0.25})
        ...     facts = read_manifest(run.manifest_path)
        >>> facts["status"], facts["results"]
        ('finished', {'val/loss': 0.25})
    """

    def __init__(
        self,
        run: RunDir,
        *,
        command: Sequence[str] | None = None,
        config_digest: str | None = None,
        seeds: Mapping[str, int] | None = None,
        parents: Sequence[Mapping[str, Any]] = (),
        debug: str | None = None,
    ) -> None:
        self._path, self._name = run.manifest_path, run.path.absolute().name
        self._command = list(sys.argv if command is None else command)
        self._config_digest, self._seeds = config_digest, dict(seeds or {})
        self._parents, self._debug = [dict(parent) for parent in parents], debug
        self._facts: dict[str, Any] = {}
        self._began: dict[str, Any] = {}
        self._clock = 0.0

    def __enter__(self) -> Self:
        earlier = read_manifest(self._path) if self._path.exists() else {}
        start, self._clock = time.time(), time.monotonic()
        parents = earlier.get("parents", [])
        parents = parents + [parent for parent in self._parents if parent not in parents]
        self._facts = earlier | self._new_facts(start) | {"parents": parents}
        self._facts["starts"] = [*map(_close, earlier.get("starts", [])), self._this_start()]
        self._write()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        timings, status = self._facts["timings"], _judge(error)
        timings["end"] = time.time()
        timings["duration"] = time.monotonic() - self._clock
        self._facts["status"] = status.value
        if status is RunStatus.FAILED:
            self._facts["error"] = {"type": type(error).__name__, "message": str(error)}
        self._facts["starts"][-1] = self._this_start()
        self._write()

    def add_results(self, results: Mapping[str, SupportsFloat]) -> None:
        """Keep what the run came to.

        Args:
            results: Metrics by name; one with the name of an earlier one replaces it. JSON has no
                number for NaN and the infinities, which are kept as ``null``.
        """
        numbers = {name: float(value) for name, value in results.items()}
        self._facts["results"] |= {
            name: number if math.isfinite(number) else None for name, number in numbers.items()
        }
        self._write()

    def set_objective(self, value: SupportsFloat | None, *, higher_is_better: bool = False) -> None:
        """Keep the one number by which runs of a sweep are compared, also in the run's name.

        Args:
            value: The number; NaN and the infinities are kept as ``null``.
            higher_is_better: Which way it is.
        """
        number = math.nan if value is None else float(value)
        self._facts["objective"] = number if math.isfinite(number) else None
        if math.isfinite(number):
            direction = "max" if higher_is_better else "min"
            self._facts["name"] = f"{self._name}__{direction}{encode_best(number)}"
        self._write()

    def note_start(self, *, config: str, step: int) -> None:
        """Keep what this start began with.

        Args:
            config: The file of its configuration.
            step: How many optimizer steps were made before it.
        """
        self._began = {"config": config, "step": step}
        self._facts["starts"][-1] = self._this_start()
        self._write()

    def set_code(self, facts: Mapping[str, Any]) -> None:
        """Keep which code the run was started with.

        Args:
            facts: As `keep_code` returns them.
        """
        self._facts["code"] = dict(facts)
        self._facts["starts"][-1] = self._this_start()
        self._write()

    def _new_facts(self, start: float) -> dict[str, Any]:
        return {
            "version": _VERSION,
            "name": self._name,
            "status": RunStatus.RUNNING.value,
            "command": self._command,
            "config_digest": self._config_digest,
            "seeds": self._seeds,
            "versions": versions(),
            "hardware": hardware_info(),
            "timings": {"start": start, "end": None, "duration": None},
            "pid": os.getpid(),
            "process_start": psutil.Process().create_time(),
            "host": platform.node(),
            "debug": self._debug,
            "code": None,
            "error": None,
            "results": {},
            "objective": None,
        }

    def _this_start(self) -> dict[str, Any]:
        facts, timings = self._facts, self._facts["timings"]
        return {
            "command": facts["command"],
            "start": timings["start"],
            "end": timings["end"],
            "status": facts["status"],
            "code": (facts["code"] or {}).get("folder"),
            **self._began,
        }

    def _write(self) -> None:
        with replacing(self._path) as temporary:
            temporary.write_text(
                json.dumps(self._facts, indent=2, allow_nan=False) + "\n", encoding="utf-8"
            )


def read_manifest(path: Path) -> dict[str, Any]:
    """Read what is known about a run.

    Args:
        path: A ``run.json``; keys that this version does not know are kept.

    Returns:
        The facts by name.

    Raises:
        MissingPathError: If there is no such file.
        DataError: If it is not a JSON object.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingPathError(
            f"Expected `path` to be a run's manifest, but got {str(path)!r}, which does not exist."
        ) from None
    except UnicodeDecodeError as error:
        raise _broken(path, error) from error
    try:
        facts = json.loads(text)
    except json.JSONDecodeError as error:
        raise _broken(path, error) from error
    if not isinstance(facts, dict):
        raise _broken(path, f"a {type(facts).__name__}")
    return facts


def _broken(path: Path, what: object) -> DataError:
    return DataError(
        f"Expected `manifest` to be a JSON object, but got '{what}' in {path}. "
        "Move the file away to start without its history."
    )


def _close(start: dict[str, Any]) -> dict[str, Any]:
    """Whoever left ``running`` behind was killed before it could say so."""
    if start.get("status") != RunStatus.RUNNING:
        return start
    return start | {"status": RunStatus.INTERRUPTED.value}


def _judge(error: BaseException | None) -> RunStatus:
    if error is None:
        return RunStatus.FINISHED
    if _is_interrupt(error):
        return RunStatus.INTERRUPTED
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return RunStatus.FINISHED
    return RunStatus.FAILED


def _is_interrupt(error: BaseException) -> bool:
    """Tell whether somebody stopped the run: Ctrl-C, SIGTERM, or what Lightning makes of them."""
    if not isinstance(error, SystemExit):
        return isinstance(error, KeyboardInterrupt)
    return (
        isinstance(error.__context__, KeyboardInterrupt)
        or error.code in _SIGNAL_CODES
        # Lightning's, with code 0; known by its name because this room does without Lightning.
        or type(error).__name__ == "SIGTERMException"
    )

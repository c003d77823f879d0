"""A sweep on disk: which jobs it has, how they stand, and which was best."""

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from leyden.cli.paths import SWEEP_FILE, short_path
from leyden.cli.sweep_results import (
    JobResult,
    differing,
    make_table,
    own_overrides,
    write_results,
)
from leyden.errors import ConfigError, DataError, MissingPathError, ResumeError
from leyden.files import make_folder, replacing
from leyden.report import draw_parallel, save_figure
from leyden.resume.checkpoints import FolderLock
from leyden.runs import RunDir, RunStatus, claim_dir, read_manifest

__all__ = ["Sweep", "open_sweep", "take_open_sweep"]

_VERSION = 1


class Sweep:
    """The folder of a sweep.

    Args:
        path: The folder; it has a ``sweep.json``.
        is_continued: Whether the sweep was begun by an earlier command.
        direction: ``minimize`` or ``maximize`` the objective, or neither.
    """

    def __init__(
        self, path: Path, *, is_continued: bool = True, direction: str | None = None
    ) -> None:
        self.path, self.is_continued = path, is_continued
        self._direction = direction
        self._lock = FolderLock(path)

    def open(self) -> None:
        """Keep other processes from going on with it, until it is closed.

        Raises:
            ResumeError: If another process does.
        """
        self._lock.acquire()
        with self._changing() as facts:
            facts["jobs"] = {}

    def close(self) -> None:
        """Let other processes go on with it."""
        self._lock.release()

    def claim(self, number: int, overrides: Sequence[str], digest: str, wanted: Path) -> RunDir:
        """Give a job its folder; that of an earlier run of the same configuration if there is one.

        A job has the number that it had before, unless what the sweeper asks for has changed.

        Args:
            number: Of the job.
            overrides: Its overrides.
            digest: Identity of its configuration.
            wanted: The folder that a new run would have.
        """
        with self._changing() as facts:
            taken = {job["run"] for key, job in facts["jobs"].items() if key != str(number)}
            same = [name for name in self._runs_of(digest) if name not in taken]
            is_free = wanted.name not in taken and not RunDir(wanted).manifest_path.exists()
            if wanted.name in same or (not same and is_free):
                name = wanted.name
            else:
                name = same[0] if same else claim_dir(self.path, wanted.name).name
            facts["jobs"][str(number)] = {"run": name, "overrides": list(overrides)}
        return RunDir(self.path / name)

    def results(self) -> list[JobResult]:
        """List the jobs that the last command came to."""
        jobs = _read(self.path)["jobs"]
        return [self._result(int(key), jobs[key]) for key in sorted(jobs, key=int)]

    def conclude(self) -> list[JobResult]:
        """Show all jobs and the best, write them to ``sweep.csv``, and draw them.

        The picture is ``sweep.png``: an axis for each override in which jobs differ, and one for
        the objective. There is none if they differ in nothing, or fewer than two have an objective.
        """
        results = self.results()
        write_results(self.path / "sweep.csv", results)
        console = Console()
        console.print(make_table(results))
        best = self._best(results)
        if best is not None:
            console.print(
                f"best: job {best.number}, {best.objective:.6g}, {own_overrides(best, results)}, "
                f"{short_path(best.run.path)}",
                highlight=False,
                soft_wrap=True,
            )
        picture = self._draw(results, best)
        if picture is not None:
            console.print(f"picture: {short_path(picture)}", highlight=False, soft_wrap=True)
        return results

    def _draw(self, results: Sequence[JobResult], best: JobResult | None) -> Path | None:
        ended = [one for one in results if one.objective is not None]
        choices = differing(ended)
        if len(ended) < 2 or not any(choices):
            return None
        figure = draw_parallel(
            choices,
            [one.objective for one in ended if one.objective is not None],
            best=None if best is None else ended.index(best),
        )
        path = self.path / "sweep.png"
        save_figure(figure, path)
        return path

    def _best(self, results: Sequence[JobResult]) -> JobResult | None:
        ended = [one for one in results if one.objective is not None]
        if self._direction is None or not ended:
            return None
        sign = -1 if self._direction == "maximize" else 1
        return min(ended, key=lambda one: sign * (one.objective or 0.0))

    def _runs_of(self, digest: str) -> list[str]:
        paths = sorted(self.path.glob("*/run.json"))
        return [path.parent.name for path in paths if _facts(path).get("config_digest") == digest]

    def _result(self, number: int, job: dict[str, Any]) -> JobResult:
        run = RunDir(self.path / job["run"])
        facts = _facts(run.manifest_path)
        times = [(start.get("start"), start.get("end")) for start in facts.get("starts", [])]
        return JobResult(
            number=number,
            overrides=tuple(job["overrides"]),
            run=run,
            status=RunStatus(facts.get("status", RunStatus.FAILED)),
            objective=facts.get("objective"),
            seconds=sum(end - start for start, end in times if start and end),
        )

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """Change what is known of the sweep, while no job in another process does."""
        with _locked(self.path):
            facts = _read(self.path)
            yield facts
            _write(self.path, facts)


def open_sweep(
    parent: Path,
    overrides: Sequence[str],
    *,
    make: Callable[[], Path],
    fixed: Path | None = None,
    begins_anew: bool = False,
    direction: str | None = None,
) -> Sweep:
    """Go on with a sweep, or begin it; whoever comes second of two at a time is refused.

    Args:
        parent: Where runs and sweeps lie, in folders of days.
        overrides: What makes it the same sweep.
        make: Makes the folder of a new one.
        fixed: The folder, where the user chose it.
        begins_anew: Whether to begin it, whatever is there.
        direction: ``minimize`` or ``maximize`` the objective, or neither.

    Raises:
        WriteError: If there can be no such folder.
        ConfigError: If the folder that was chosen holds another sweep.
        ResumeError: If another process goes on with it.
    """
    with _locked(parent):
        found = _find(parent if fixed is None else fixed, list(overrides), fixed is not None)
        if fixed is not None and begins_anew and found is not None:
            raise ConfigError(
                f"Expected `hydra.sweep.dir` to be a new folder with `resume=never`, but got "
                f"{str(fixed)!r}, which holds a sweep. Choose another one."
            )
        if found is None or begins_anew:
            path = make_folder(make())
            begun = {"version": _VERSION, "begun": time.time()}
            _write(path, {**begun, "overrides": list(overrides), "jobs": {}})
            sweep = Sweep(path, is_continued=False, direction=direction)
        else:
            sweep = Sweep(found, direction=direction)
        sweep.open()
    _open_ones.append(sweep)
    return sweep


_open_ones: list[Sweep] = []


def take_open_sweep() -> Sweep | None:
    """Give the sweep that was opened last in this process, once."""
    return _open_ones.pop() if _open_ones else None


def _find(folder: Path, overrides: list[str], is_sweep: bool) -> Path | None:
    if is_sweep:
        if not (folder / SWEEP_FILE).exists():
            return None
        if _read(folder)["overrides"] != overrides:
            raise ConfigError(
                f"Expected `hydra.sweep.dir` to hold this sweep, but got {str(folder)!r}, which "
                "holds another one. Choose another folder."
            )
        return folder
    folders = _begun(folder.glob(f"*/*/{SWEEP_FILE}"))
    same = [path for path in folders if _read(path)["overrides"] == overrides]
    return same[-1] if same else None


def _begun(paths: Iterable[Path]) -> list[Path]:
    """Sort the folders of sweeps by when they were begun, and leave damaged ones out."""
    begun: list[tuple[float, Path]] = []
    for path in paths:
        try:
            begun.append((_read(path.parent)["begun"], path.parent))
        except ResumeError as error:
            print(error, file=sys.stderr)
    return [path for _, path in sorted(begun)]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait for whoever looks around in a folder at the same time."""
    descriptor = os.open(make_folder(folder), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / SWEEP_FILE
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["version"] == _VERSION and isinstance(facts["jobs"], dict):
            return dict(facts)
        reason = f"it is of version {facts['version']!r}"
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise ResumeError(f"Expected {str(path)!r} to describe a sweep, but {reason}. Move it away.")


def _write(folder: Path, facts: dict[str, Any]) -> None:
    with replacing(folder / SWEEP_FILE) as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _facts(path: Path) -> dict[str, Any]:
    try:
        return read_manifest(path)
    except (MissingPathError, DataError):  # not begun, or damaged
        return {}

"""Loggers that write into a folder: where they stood, and how they get back there."""

import csv
import io
import os
import re
import shutil
import struct
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from leyden.errors import ResumeError
from leyden.files import replacing
from leyden.resume.loggers.internals import reopen_events, rewrite_safely, use_version

__all__ = ["continue_csv", "continue_tensorboard", "csv_state", "tensorboard_state"]

_KEPT = ".metrics-kept"  # a second name of metrics.csv: Lightning deletes the first
_LEFTOVER = re.compile(r"\.\d+-(metrics\.csv|\.metrics-kept)")  # of a write that was cut off
_EVENTS = "events.out.tfevents.*"
_HPARAMS = "hparams.yaml"
_MOST_PENDING = 1000  # rows that a checkpoint carries
_FRAME = struct.Struct("<QI")  # before an event: its size in bytes, and a checksum of that


@dataclass(frozen=True, slots=True)
class _Tally:
    """What has been counted of a file of rows: which file, how far, and what was there."""

    inode: int = 0
    columns: tuple[str, ...] = ()
    size: int = 0
    num_lines: int = 0
    last: tuple[str, ...] = ()


_TALLIES: WeakKeyDictionary[Any, _Tally] = WeakKeyDictionary()


def csv_state(logger: Any) -> dict[str, Any]:
    """Say where a ``CSVLogger`` stands, leaving it as it is.

    Rows that it has not written are part of the state. Writing them here would change the steps of
    rows that are logged without one, which Lightning takes from the number of rows that wait. Only
    if more wait than a checkpoint should carry, they are written. A second name is kept for the
    file, in its folder, because a logger that is made for a folder deletes the file there.
    """
    writer = logger.experiment
    if _is_remote(writer.log_dir):
        return {"dir": writer.log_dir}
    rewrite_safely(writer)
    if len(writer.metrics) > _MOST_PENDING:
        logger.save()
    tally, path = _Tally(), Path(writer.metrics_file_path)
    if path.exists():
        tally = _TALLIES[writer] = _count(path, writer.metrics_keys, _TALLIES.get(writer, tally))
        _keep(path)
    return {
        "dir": str(Path(writer.log_dir).absolute()),
        "version": logger.version,
        "columns": list(writer.metrics_keys),
        "num_rows": max(0, tally.num_lines - 1),  # the first is the header
        "last": list(tally.last),
        "pending": [{name: _to_plain(row[name]) for name in row} for row in writer.metrics],
    }


def continue_csv(logger: Any, state: dict[str, Any]) -> None:
    """Bring a ``CSVLogger`` back to where it stood: folder, file, columns, and rows that wait.

    Where the logger cannot name the old folder any more, because it is made for another one, the
    rows are brought from there; the old folder stays as it is.

    Raises:
        ResumeError: If not all of its rows are found; it then goes on with those that are.
    """
    writer, present = logger.experiment, Path(logger.log_dir)
    _refuse_remote(logger.log_dir, state["dir"])
    rewrite_safely(writer)
    mine, old = _dir_of(logger, state["version"]), Path(state["dir"])
    source, is_whole = _find_rows([old, mine], writer.NAME_METRICS_FILE, state)
    is_mine = _is_same(mine, old) or (source is not None and source.parent == mine)
    path = (mine if is_mine else present) / writer.NAME_METRICS_FILE
    if source is None:
        path.unlink(missing_ok=True)
    else:
        with replacing(path) as temporary:
            _write_rows(temporary, [state["columns"], *_read_rows(source, state)])
    if is_mine:
        use_version(logger, state["version"])
        writer.log_dir, writer.metrics_file_path = logger.log_dir, str(path)
        _give_up(present, mine)
    writer.metrics, writer.metrics_keys = list(state["pending"]), list(state["columns"])
    _clear(path.parent)
    if not is_whole:
        raise ResumeError(
            f"Expected {state['num_rows']} logged rows to be found, but got another number in "
            f"{str(old)!r}. The logger goes on in {str(path.parent)!r} with those that are there."
        )


def _count(path: Path, columns: list[str], known: _Tally) -> _Tally:
    """Count the lines of a file, but read only those that came since the last time."""
    status = path.stat()
    is_known = (known.inode, known.columns) == (status.st_ino, tuple(columns))
    start = known if is_known and known.size <= status.st_size else _Tally()
    with path.open("rb") as file:
        file.seek(start.size)
        content = file.read()
    num_lines, last = start.num_lines, start.last
    for line in csv.reader(io.StringIO(content.decode(), newline="")):
        num_lines, last = num_lines + 1, tuple(line)
    size = start.size + len(content)
    return _Tally(status.st_ino, tuple(columns), size, num_lines, last)


def _keep(path: Path) -> None:
    kept = path.with_name(_KEPT)
    if kept.exists() and kept.samefile(path):
        return
    with replacing(kept) as temporary:
        try:
            os.link(path, temporary)
        except OSError:  # a file system without links
            shutil.copyfile(path, temporary)


def _find_rows(folders: list[Path], name: str, state: dict[str, Any]) -> tuple[Path | None, bool]:
    """Find the file with the rows of the state, and say whether all of them are there.

    The last row tells a file of this run from one of another run in a folder of the same name.
    """
    if not state["num_rows"]:
        return None, True
    paths = [folder / each for folder in folders for each in (name, _KEPT)]
    there = [path for path in paths if path.is_file()]
    for path in there:
        last: deque[tuple[int, list[str]]] = deque(enumerate(_read_rows(path, state), 1), maxlen=1)
        if list(last) == [(state["num_rows"], state["last"])]:
            return path, True
    return next((path for path in there if path.parent == folders[0]), None), False


def _read_rows(path: Path, state: dict[str, Any]) -> Iterator[list[str]]:
    """Read the rows of the state, in its columns; the file may hold more of both."""
    with path.open(newline="") as file:
        for row in islice(csv.DictReader(file, restval=""), state["num_rows"]):
            yield [row.get(column, "") for column in state["columns"]]


def _write_rows(path: Path, rows: Iterable[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)  # with the same defaults as Lightning's writer


def _to_plain(value: Any) -> Any:
    """Take a cell as it is, or as its text in the file will be."""
    if type(value) in (str, int, float):
        return value
    return "" if value is None else str(value)


def _clear(folder: Path) -> None:
    for path in folder.glob(".*"):
        if _LEFTOVER.fullmatch(path.name):
            path.unlink(missing_ok=True)


def tensorboard_state(logger: Any) -> dict[str, Any]:
    """Write out what a ``TensorBoardLogger`` has, and say where it stands.

    Files of events only grow, so their sizes in bytes say what is in them.
    """
    logger.experiment.flush()
    if _is_remote(logger.log_dir):
        return {"dir": logger.log_dir}
    log_dir = Path(logger.log_dir).absolute()
    folders = {log_dir, *map(Path, logger.experiment.all_writers or ())}
    paths = sorted(path.absolute() for folder in folders for path in folder.glob(_EVENTS))
    files = {str(path.relative_to(log_dir)): path.stat().st_size for path in paths}
    return {"dir": str(log_dir), "version": logger.version, "files": files}


def continue_tensorboard(logger: Any, state: dict[str, Any]) -> None:
    """Bring a ``TensorBoardLogger`` back to its folder, with the events it had.

    Events that came later are cut off, because some of them share a step with events that stay: the
    end of an epoch has the step of its last batch. Readers that have met them are told to forget
    all steps after those that stay.

    Raises:
        ResumeError: If the folder is gone, and the logger stays where it is; or if events are gone.
    """
    present, old = Path(logger.log_dir), Path(state["dir"])
    _refuse_remote(logger.log_dir, state["dir"])
    mine, files = _dir_of(logger, state["version"]), state["files"]
    is_whole = bool(files) and all(_size(mine / name) >= files[name] for name in files)
    if not is_whole and not _is_same(mine, old):
        raise ResumeError(
            f"Expected the folder of events {str(old)!r} to be found as {str(mine)!r}, but got "
            f"none with the events of this run. The logger goes on in {str(present)!r}."
        )
    event_type = sys.modules[type(logger.experiment).__module__].Event
    logger.experiment.close()
    use_version(logger, state["version"])
    _cut_events(mine, files)
    steps = [_last_step(mine / name, event_type) for name in files if (mine / name).exists()]
    reopen_events(logger, purge_step=max(steps, default=-1) + 1)
    _give_up(present, mine)
    if not is_whole:
        raise ResumeError(
            f"Expected the events in {str(mine)!r} to be those of the checkpoint, but got less. "
            "The logger goes on with those that are there."
        )


def _cut_events(log_dir: Path, files: dict[str, int]) -> None:
    """Cut files of events to their sizes, and remove others beside them."""
    for folder in {log_dir, *((log_dir / name).parent for name in files)}:
        for path in folder.glob(_EVENTS):
            size = files.get(str(path.relative_to(log_dir)))
            if size is None:
                path.unlink()
            elif size < path.stat().st_size:
                os.truncate(path, size)


def _last_step(path: Path, event_type: Any) -> int:
    """Find the highest step of a file of events, or -1."""
    last = -1
    with path.open("rb") as file:
        while len(frame := file.read(_FRAME.size)) == _FRAME.size:
            event = event_type.FromString(file.read(_FRAME.unpack(frame)[0]))
            file.seek(4, os.SEEK_CUR)  # a checksum
            if event.HasField("summary"):
                last = max(last, event.step)
    return last


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1


def _is_same(path: Path, other: Path) -> bool:
    return path.exists() and other.exists() and path.samefile(other)


def _is_remote(folder: str) -> bool:
    return "://" in folder


def _refuse_remote(*folders: str) -> None:
    for folder in filter(_is_remote, folders):
        raise ResumeError(
            f"Expected the folder of a logger to be on this machine, but got {folder!r}. "
            "Its rows after the checkpoint are not cut off."
        )


def _dir_of(logger: Any, version: int | str) -> Path:
    """Say where the logger would write if it had this version."""
    present = logger.version
    use_version(logger, version)
    try:
        return Path(logger.log_dir)
    finally:
        use_version(logger, present)


def _give_up(folder: Path, old: Path) -> None:
    """Remove a folder that holds only what Lightning has just put there."""
    if _is_same(folder, old) or not folder.is_dir():
        return
    found = list(folder.iterdir())
    hparams, before = folder / _HPARAMS, old / _HPARAMS
    is_known = hparams in found and before.exists() and hparams.read_bytes() == before.read_bytes()
    ours = {hparams} if is_known else set()
    ours.update(path for path in found if path.match(_EVENTS))
    if ours.issuperset(found):
        shutil.rmtree(folder)

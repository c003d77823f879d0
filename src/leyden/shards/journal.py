"""A pack in the making: what is done survives whatever stops it."""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from leyden.errors import DataError
from leyden.files import placing, replacing
from leyden.shards.manifest import (
    FileFacts,
    Manifest,
    describe_differences,
    file_problem,
    write_array,
)
from leyden.shards.sources import Block, Source

__all__ = ["Journal", "journaling", "refuse_other_recipe", "staging_of"]

_CONTENT, _JOURNAL, _LOCK = "content", "journal.jsonl", "lock"
_LABELS = "labels"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Journal:
    """The shards that are written, and a line about each of them.

    Shards are numbered from 1. They are written into a hidden folder beside the target, which takes
    its place when all are there.

    Args:
        target: The folder to be.
        staging: The hidden folder.
        recipe: The source and the arguments.

    Raises:
        DataError: If the hidden folder was begun with another recipe.
    """

    def __init__(self, target: Path, staging: Path, recipe: Mapping[str, Any]) -> None:
        self._target, self._recipe = target, recipe
        self._content, self._path = staging / _CONTENT, staging / _JOURNAL
        self._files: list[dict[str, FileFacts]] = []
        lines = _read_lines(self._path)
        if lines:
            refuse_other_recipe(lines[0], recipe, target)
        for line in lines[1:]:
            files = _parse_files(line)
            name = f"{recipe['base']}{self.num_done + 1}.npy"
            problems = (file_problem(self._content / path, facts) for path, facts in files.items())
            if name not in files or any(problems):
                break
            self._files.append(files)

    @property
    def num_done(self) -> int:
        """How many shards are written."""
        return len(self._files)

    def begin(self) -> None:
        """Remove what is half written, and what was written after it."""
        self._content.mkdir(parents=True, exist_ok=True)
        known = {self._content / name for files in self._files for name in files}
        for path in self._content.rglob("*"):
            if path.is_file() and path not in known:
                path.unlink()
        lines = [self._recipe, *map(_as_json, self._files)]
        with replacing(self._path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def read(self, number: int) -> Block:
        """Look at a shard that is written."""
        paths = self._paths(number)
        arrays = (np.load(path, mmap_mode="r") for path in paths if path.exists())
        return Block(*arrays)

    def _paths(self, number: int) -> tuple[Path, Path]:
        """Where the inputs and the labels of a shard are."""
        name = f"{self._recipe['base']}{number}.npy"
        return self._content / name, self._content / _LABELS / name

    def add(self, block: Block) -> None:
        """Write the next shard."""
        arrays = zip(self._paths(self.num_done + 1), (block.inputs, block.labels), strict=True)
        files = {
            path.relative_to(self._content).as_posix(): write_array(path, array)
            for path, array in arrays
            if array is not None
        }
        with self._path.open("a") as file:
            file.write(json.dumps(_as_json(files)) + "\n")
        self._files.append(files)

    def finish(self, source: Source) -> None:
        """Write the manifest, and put the folder in its place.

        Args:
            source: What was packed.
        """
        files = {name: facts for files in self._files for name, facts in files.items()}
        num_rows = sum(next(iter(shard.values())).shape[0] for shard in self._files)
        names = source.class_names, source.column_names
        Manifest(self._recipe, files, num_rows, *names).write(self._content)
        self._content.rename(self._target)


@contextmanager
def journaling(target: Path, recipe: Mapping[str, Any]) -> Iterator[Journal]:
    """Begin to pack a folder, or go on where it was interrupted.

    Args:
        target: The folder to be.
        recipe: The source and the arguments.

    Yields:
        What is done so far. The hidden folder goes when the target is there, or nothing is done.

    Raises:
        WriteError: If there can be no such folder.
        DataError: If another process packs this folder, it was begun with another recipe, what is
            left of that is not what it was, or the disk is full.
    """
    staging = staging_of(target)
    with _explaining_a_full_disk(target):
        lock = _open_lock(target, staging)
    with lock as file:
        _lock(file, target)
        journal = Journal(target, staging, recipe)
        try:
            with _explaining_a_full_disk(target, journal):
                yield journal
        finally:
            if journal.num_done == 0 or not (staging / _CONTENT).exists():
                shutil.rmtree(staging, ignore_errors=True)


def refuse_other_recipe(old: Mapping[str, Any], new: Mapping[str, Any], folder: Path) -> None:
    """Make sure that a folder was packed, or begun, in the way that is asked for.

    Args:
        old: The recipe on disk.
        new: The recipe asked for.
        folder: Which folder, for the error.

    Raises:
        DataError: If they differ; it shows both.
    """
    if old != new:
        problem = f"Expected {folder} to be packed from one source in one way, but they differ."
        where = staging_of(folder) if staging_of(folder).exists() else folder
        remedy = f"Pass another folder, or remove {where}."
        raise DataError("\n".join([problem, *describe_differences(old, new), remedy]))


def staging_of(target: Path) -> Path:
    """Where a folder is while it is packed."""
    return target.with_name(f".{target.name}.packing")


def _open_lock(target: Path, staging: Path) -> IO[str]:
    """Make the hidden folder, if it is not there, and open the file in it that is to be locked."""
    with placing(target):
        staging.mkdir(parents=True, exist_ok=True)
    _refuse_other_kinds(staging)
    try:
        return (staging / _LOCK).open("a")
    except OSError:
        with suppress(OSError):  # it stays if there is something in it
            staging.rmdir()
        raise


def _refuse_other_kinds(staging: Path) -> None:
    """Make sure that files are files, and folders folders, whatever became of them meanwhile."""
    are_right = {_LOCK: Path.is_file, _JOURNAL: Path.is_file, _CONTENT: Path.is_dir}
    for name, is_right in are_right.items():
        path = staging / name
        if os.path.lexists(path) and not is_right(path):
            kind = "folder" if name == _CONTENT else "file"
            problem = f"Expected {path} to be a {kind}, as it was left, but it is none."
            raise DataError(f"{problem} Remove {staging}, and run the same again.")


def _lock(file: IO[str], target: Path) -> None:
    """Keep others out; the system lets them in again whatever becomes of this process."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        problem = f"Expected to be the only one that packs {target}, but another process does."
        raise DataError(f"{problem} Wait until it is done.") from None


@contextmanager
def _explaining_a_full_disk(target: Path, journal: Journal | None = None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        done = f"{journal.num_done if journal else 0} shards of {target} are written"
        problem = f"Expected room for the next shard, but got: {os.strerror(error.errno)}"
        remedy = "Make room, and run the same again: it goes on from there."
        raise DataError(f"{problem} ({done}). {remedy}") from error


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Read all lines up to one that is damaged, or was not written to its end."""
    lines = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            content = json.loads(line)
        except ValueError:
            break
        if not isinstance(content, dict):
            break
        lines.append(content)
    return lines


def _parse_files(line: Mapping[str, Any]) -> dict[str, FileFacts]:
    """Take the files of a shard from their line; none if it is damaged."""
    try:
        return {name: FileFacts.parse(facts) for name, facts in line.items()}
    except (KeyError, TypeError):
        return {}


def _as_json(files: Mapping[str, FileFacts]) -> dict[str, Any]:
    return {name: asdict(facts) for name, facts in files.items()}

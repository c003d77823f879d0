"""The code that a run was started with, kept in its folder."""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from leyden.files import replacing
from leyden.runs.layout import RunDir, claim_dir
from leyden.runs.repository import GitError, Repository, find_repository

__all__ = ["CHANGES", "COMMIT", "SnapshotLimits", "keep_code", "snapshot_dirs"]

COMMIT = "commit.json"
"""Beside the files: what git knows, and what was left out."""

CHANGES = "changes.diff"
"""Beside the files: what differs from the commit."""

_SUFFIXES = (".py", ".yaml", ".yml")
_NOT_OURS = ("__pycache__", "node_modules", "site-packages")
_OUTPUTS = ("data", "datasets", "runs", "logs", "outputs", "multirun", "wandb", "mlruns", "build")
_MOST_NEW = 1_000  # files in the patch that git does not keep yet
_ENVIRONMENT = "pyvenv.cfg"  # what a virtual environment has at its top


@dataclass(frozen=True, slots=True)
class SnapshotLimits:
    """What is too much to be code.

    Args:
        file: Bytes of one file.
        total: Bytes of all files together, and of the patch.
        files: Number of files.
        entries: Number of names that are looked at where git cannot list the files.
    """

    file: int = 1 << 20
    total: int = 32 << 20
    files: int = 20_000
    entries: int = 200_000


def keep_code(
    run: RunDir,
    project: Path,
    *,
    exclude: Sequence[Path] = (),
    limits: SnapshotLimits | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Copy a project's code to the folder of a run, and say what git knows of it.

    Files ending in ``.py``, ``.yaml`` and ``.yml`` go to ``code/``, with ``commit.json`` and, where
    something differs from the commit, ``changes.diff``, which has files that git does not keep yet,
    too. What git ignores is left out, and so are hidden folders, environments, and folders such as
    ``data`` or ``runs`` without Python in them. A later start in the same folder goes to
    ``code-2/`` and so on, unless nothing has changed since. Nothing is raised for what cannot be
    read or written: a run is worth more than its snapshot.

    Args:
        run: The run.
        project: The folder of the project.
        exclude: Folders of which nothing is kept, besides that of the run.
        limits: What is too much.

    Returns:
        Facts for ``run.json``: ``folder`` in that of the run, ``null`` without a snapshot,
        ``project``, ``commit``, ``branch``, ``is_changed`` and ``num_files``; and sentences about
        what could not be kept.
    """
    search = _Search(project.resolve(), [run.path.resolve(), *(p.resolve() for p in exclude)])
    limits = limits or SnapshotLimits()
    facts: dict[str, Any] = {"folder": None, "project": str(project.absolute())}
    try:
        repository = search.find_repository()
        contents = search.read(search.list_files(repository, limits.entries), limits)
        patch = b"" if repository is None else search.changes(repository, limits)
        facts |= _facts(repository, patch, contents)
        facts["folder"] = _write(run, contents, patch, facts).name
    except OSError as error:
        search.problems.append(f"The code was not kept: {error}.")
    return facts, search.problems


def snapshot_dirs(run: RunDir) -> list[Path]:
    """List the snapshots of a run, that of its first start first."""
    found = [path for path in run.path.glob("code*") if (path / COMMIT).is_file()]
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _facts(
    repository: Repository | None, patch: bytes, contents: Mapping[Path, bytes]
) -> dict[str, Any]:
    commit = None if repository is None else repository.commit
    return {
        "commit": commit,
        "branch": None if repository is None else repository.branch,
        "is_changed": None if commit is None else bool(patch),
        "num_files": len(contents),
    }


def _write(
    run: RunDir, contents: Mapping[Path, bytes], patch: bytes, facts: Mapping[str, Any]
) -> Path:
    """Make the folder, or find the last one if that is the same."""
    digest, before = _digest(contents, patch, facts["commit"]), snapshot_dirs(run)
    if before and _digest_in(before[-1]) == digest:
        return before[-1]
    folder = claim_dir(run.path, "code")
    for parent in sorted({path.parent for path in contents}):
        (folder / parent).mkdir(parents=True, exist_ok=True)
    for path, content in contents.items():
        (folder / path).write_bytes(content)
    if patch:
        (folder / CHANGES).write_bytes(patch)
    known = {key: facts[key] for key in ("project", "commit", "branch", "is_changed")}
    with replacing(folder / COMMIT) as temporary:  # the last: with it, the snapshot is whole
        temporary.write_text(json.dumps({**known, "digest": digest}, indent=2) + "\n")
    return folder


def _digest(contents: Mapping[Path, bytes], patch: bytes, commit: str | None) -> str:
    found = hashlib.sha256(f"{commit}\n".encode() + patch)
    for path, content in contents.items():
        found.update(b"\0" + os.fsencode(path) + b"\0" + hashlib.sha256(content).digest())
    return found.hexdigest()


def _digest_in(folder: Path) -> str | None:
    try:
        known = json.loads((folder / COMMIT).read_text(encoding="utf-8"))
    except ValueError:  # somebody has written to it
        return None
    return known.get("digest") if isinstance(known, dict) else None


@dataclass(frozen=True, slots=True)
class _Search:
    """The search for what belongs to a project.

    Args:
        project: Its folder.
        away: Folders that do not belong to it.
        problems: Sentences about what is not kept.
    """

    project: Path
    away: Sequence[Path]
    problems: list[str] = field(default_factory=list)

    def find_repository(self) -> Repository | None:
        try:
            return find_repository(self.project)
        except GitError as error:
            self.problems.append(f"The commit of the code was not kept: {error}.")
            return None

    def list_files(self, repository: Repository | None, most: int) -> list[Path]:
        """List what may be code; where git cannot say, from the folders themselves."""
        if repository is not None:
            try:
                return list(_ask(repository, self.project))
            except GitError as error:
                self.problems.append(f"Ignored files may be kept with the code: {error}.")
        found = list(islice(_walk(self.project), most))
        if len(found) == most:
            self.problems.append(f"Not all code was kept: there are more than {most:,} files.")
        return found

    def read(self, paths: Iterable[Path], limits: SnapshotLimits) -> dict[Path, bytes]:
        """Read what is code and not too much."""
        contents: dict[Path, bytes] = {}
        too_much: list[Path] = []
        total = 0
        for path in sorted(filter(self._is_code, paths), key=os.fspath):
            try:
                size = path.stat().st_size
                is_too_much = size > limits.file or total + size > limits.total
                if is_too_much or len(contents) >= limits.files:
                    too_much.append(path)
                    continue
                contents[path.relative_to(self.project)] = path.read_bytes()
                total += size
            except OSError as error:
                self.problems.append(f"Not kept with the code: {error}.")
        self._say_too_much(too_much)
        return contents

    def changes(self, repository: Repository, limits: SnapshotLimits) -> bytes:
        if repository.commit is None:
            return b""
        try:
            new = self._new_files(repository)
            patch, large = repository.changes(new, largest=limits.file)
        except GitError as error:
            self.problems.append(f"What differs from the commit was not kept: {error}.")
            return b""
        if len(patch) > limits.total:
            problem = f"What differs from the commit was not kept: it is {len(patch):,} bytes."
            self.problems.append(problem)
            return b""
        self._say_too_much(large)
        return patch

    def _new_files(self, repository: Repository) -> list[Path]:
        """What git does not keep yet: code, and other files if they are few and not hidden."""
        top = repository.top
        listed = repository.list_files(top, are_tracked=False)
        foreign = _foreign_folders(listed, top) | set(self.away)
        ours = [
            path
            for path in listed
            if not path.is_dir()
            and not _is_hidden(path.relative_to(top).parts)
            and not any(parent in foreign for parent in path.parents)
        ]
        return ours if len(ours) <= _MOST_NEW else [p for p in ours if p.suffix in _SUFFIXES]

    def _is_code(self, path: Path) -> bool:
        if path.suffix not in _SUFFIXES or _is_hidden(path.relative_to(self.project).parts[:-1]):
            return False
        if any(path.is_relative_to(folder) for folder in self.away):
            return False
        try:
            return stat.S_ISREG(path.stat().st_mode)
        except OSError:  # removed meanwhile, or a link to nowhere
            return False

    def _say_too_much(self, paths: Sequence[Path]) -> None:
        if paths:
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            name = os.fsencode(paths[0].name).decode(errors="replace")
            self.problems.append(f"Too large to be kept with the code: {name}{more}.")


def _is_hidden(names: Iterable[str]) -> bool:
    return any(name.startswith(".") or name in _NOT_OURS for name in names)


def _ask(repository: Repository, folder: Path) -> Iterator[Path]:
    """List what git keeps, and of the rest what it does not ignore and is no output."""
    others = repository.list_files(folder, are_tracked=False)
    foreign = _foreign_folders(others, folder)
    ours = (path for path in others if not any(parent in foreign for parent in path.parents))
    for path in (*repository.list_files(folder, are_tracked=True), *ours):
        if path.suffix in _SUFFIXES and not path.is_dir():
            yield path
        elif not path.is_symlink() and path.is_dir() and (path / ".git").exists():
            inner = find_repository(path)  # in the outer one, it is a single entry
            yield from () if inner is None else _ask(inner, path)


def _foreign_folders(paths: Sequence[Path], top: Path) -> set[Path]:
    """Find environments, and folders of outputs in which no Python lies."""
    environments = {path.parent for path in paths if path.name == _ENVIRONMENT}
    with_code = {path.parent for path in paths if path.suffix == ".py"}
    above = (parent for path in paths for parent in path.parents if parent.name in _OUTPUTS)
    outputs = {parent for parent in above if parent != top and parent.is_relative_to(top)}
    return environments | (outputs - with_code)


def _walk(project: Path) -> Iterator[Path]:
    """List files where there is no git to ask."""
    for folder, folders, names in os.walk(project):
        here = Path(folder)
        is_output = here != project and here.name in _OUTPUTS
        if _ENVIRONMENT in names or (is_output and not any(n.endswith(".py") for n in names)):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not _is_hidden([name])]
        if here in (Path.home(), Path(here.anchor)):  # of which nobody means the whole
            folders.clear()
        yield from (here / name for name in names)

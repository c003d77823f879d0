"""What git knows about a project, asked without changing anything in it."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

__all__ = ["GitError", "Repository", "find_repository"]

_PATIENCE = 20.0  # seconds for one command
_OPTIONS = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
_ADDING = (
    *("--literal-pathspecs", "add", "--intent-to-add"),
    *("--pathspec-from-file=-", "--pathspec-file-nul"),
)
_PLAINLY = (
    *("--no-ext-diff", "--no-textconv", "--no-color"),
    *("--no-relative", "--src-prefix=a/", "--dst-prefix=b/"),
)
_MOST_EXCLUDED = 500  # paths in one command line


class GitError(OSError):
    """Git did not do what it was asked.

    Args:
        reason: What it said.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"git: {reason}")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository with files in a folder.

    Args:
        git: The program.
        top: The folder of the whole.
        commit: What is checked out; ``None`` before the first commit.
        branch: Its branch; ``None`` if it is not on one.
    """

    git: str
    top: Path
    commit: str | None
    branch: str | None

    def list_files(self, folder: Path, *, are_tracked: bool) -> list[Path]:
        """List files below a folder; repositories within this one are single entries.

        Args:
            folder: Where to look.
            are_tracked: Whether to list what git keeps, or what it neither keeps nor ignores.
        """
        which = ["--cached"] if are_tracked else ["--others", "--exclude-standard"]
        names = _split(_run(self.git, folder, "ls-files", "-z", *which))
        return [folder / os.fsdecode(name) for name in dict.fromkeys(names)]

    def changes(self, new: Sequence[Path], *, largest: int) -> tuple[bytes, list[Path]]:
        """Compare the working tree with the commit; the index stays as it is.

        Args:
            new: Files that git does not keep yet, to be shown all the same.
            largest: Bytes; changed files that are larger are left out.

        Returns:
            A patch that makes the working tree of the commit, empty if nothing has changed; and the
            files that it leaves out because of their size.

        Raises:
            GitError: If there is no commit, or there are too many large files.
        """
        with TemporaryDirectory(prefix="leyden-") as folder:
            elsewhere = self._borrowed(Path(folder))  # `git diff` writes the index
            changed = self._diff("--name-only", "--no-renames", "-z", "HEAD", more=elsewhere)
            paths = [*(self.top / os.fsdecode(name) for name in _split(changed)), *new]
            large = [path for path in paths if _size(path) > largest]
            if len(large) > _MOST_EXCLUDED:
                raise GitError(f"{len(large)} changed files are larger than {largest:,} bytes")
            small = [path for path in new if path not in set(large)]
            names = b"".join(os.fsencode(path.relative_to(self.top)) + b"\0" for path in small)
            if names:
                _run(self.git, self.top, *_ADDING, more=elsewhere, given=names)
            exclusions = [f":(exclude,literal){path.relative_to(self.top)}" for path in large]
            shown = ("--binary", "HEAD", "--", ".", *exclusions)
            return self._diff(*shown, more=elsewhere), large

    def _diff(self, *arguments: str, more: Mapping[str, str]) -> bytes:
        return _run(self.git, self.top, "diff", *_PLAINLY, *arguments, more=more)

    def _borrowed(self, folder: Path) -> dict[str, str]:
        """Copy the index, and have whatever git writes go to the same folder."""
        copy, objects = folder / "index", folder / "objects"
        objects.mkdir()
        source = self._git_path("index")
        if source.is_file():
            shutil.copy2(source, copy)  # its time too: git doubts files as new as the index
        return {
            "GIT_INDEX_FILE": str(copy),
            "GIT_OBJECT_DIRECTORY": str(objects),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self._git_path("objects")),
        }

    def _git_path(self, name: str) -> Path:
        found = _run(self.git, self.top, "rev-parse", "--git-path", name).removesuffix(b"\n")
        return (self.top / os.fsdecode(found)).absolute()


def find_repository(folder: Path) -> Repository | None:
    """Find the repository that a folder lies in.

    Args:
        folder: Any folder.

    Returns:
        The repository; ``None`` if there is none, or no git on this machine.

    Raises:
        GitError: If there is one that git refuses to read.
    """
    git = shutil.which("git")
    absolute = folder.resolve()
    if git is None or not any((one / ".git").exists() for one in (absolute, *absolute.parents)):
        return None
    top = _run(git, absolute, "rev-parse", "--show-toplevel").removesuffix(b"\n")
    commit = _answer(git, absolute, "rev-parse", "--verify", "--quiet", "HEAD")
    branch = _answer(git, absolute, "symbolic-ref", "--quiet", "--short", "HEAD")
    return Repository(git, Path(os.fsdecode(top)), commit, branch)


def _answer(git: str, folder: Path, *command: str) -> str | None:
    """Ask something to which there may be no answer."""
    try:
        return os.fsdecode(_run(git, folder, *command)).strip()
    except GitError:
        return None


def _run(
    git: str,
    folder: Path,
    *command: str,
    more: Mapping[str, str] = MappingProxyType({}),
    given: bytes = b"",
) -> bytes:
    """Have git answer, whatever is in the environment, without a lock, a prompt or a network."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    quiet = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - git itself, with arguments of ours
            [git, *_OPTIONS, "-C", str(folder), *command],
            input=given,
            capture_output=True,
            env={**kept, **quiet, **more, "LC_ALL": "C"},
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GitError(f"{command[0]} took longer than {_PATIENCE:g} s") from None
    if done.returncode:
        said = os.fsdecode(done.stderr).strip().splitlines()
        raise GitError(said[0] if said else f"{command[0]} ended with code {done.returncode}")
    return done.stdout


def _split(names: bytes) -> list[bytes]:
    return [name for name in names.split(b"\0") if name]


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # removed, or in the place of a folder
        return 0

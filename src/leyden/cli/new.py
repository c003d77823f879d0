"""``leyden new``: a project that imports leyden, ready to run."""

import argparse
import keyword
import re
import shlex
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from leyden import __version__
from leyden.cli.command import answered
from leyden.errors import ConfigError, MissingPathError
from leyden.files import placing

__all__ = ["make_project", "run_new"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*")
_TAKEN = ("conf", "data", "runs", "tests", "train")  # what else lies in the folder
_PACKAGE, _PROJECT, _VERSION = "PACKAGE", "PROJECT", "LEYDEN_VERSION"
_ENDING = ".txt"  # of templates, which are no code of leyden's


def run_new(arguments: argparse.Namespace) -> int:
    """Make the project that the command line names, and say how to go on.

    Args:
        arguments: What ``add_new`` made of it.

    Returns:
        The exit code: 0, or 2 for a user's slip.
    """
    return answered(lambda: _make(arguments.path))


def _make(path: Path) -> None:
    made = make_project(path.expanduser())
    print(f"Made {path}, with {len(made)} files. To go on:\n")
    print(f"  cd {shlex.quote(str(path))}\n  python train.py\n  pytest")


def make_project(folder: Path) -> list[Path]:
    """Write a project, whole or not at all.

    Args:
        folder: Where; its name is that of the project, and with ``_`` for ``-``, of its package.

    Returns:
        The files.

    Raises:
        ConfigError: If the name cannot be that of a package, or the folder is not empty.
        MissingPathError: If there is no folder to put it in.
        WriteError: If that folder cannot be written to.
    """
    folder = folder.absolute()
    with placing(folder):
        has_parent = folder.parent.is_dir()
        is_taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if not has_parent:
        problem = f"Expected `NAME` to be in a folder, but {str(folder.parent)!r} is none"
        raise MissingPathError(f"{problem}. Make it first.")
    if is_taken:
        problem = f"Expected `NAME` to be new, but {folder.name!r} exists and is not empty"
        raise ConfigError(f"{problem}. Choose another one, or move it away.")
    words = {_PACKAGE: _package_of(folder.name), _PROJECT: folder.name, _VERSION: __version__}
    with placing(folder), TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as work:
        made = Path(work, folder.name)
        names = [_write(name, made, words) for name in _templates()]
        made.replace(folder)
    return [folder / name for name in names]


def _package_of(name: str) -> str:
    """Make the name of a package; importing it must give the package, and nothing else."""
    package = name.lower().replace("-", "_")
    problem = None
    if not _NAME.fullmatch(name):
        problem = "have letters, digits, and single dashes between them"
    elif keyword.iskeyword(package) or keyword.issoftkeyword(package):
        problem = "be no word of Python's"
    elif package in sys.stdlib_module_names or _is_module(package):
        problem = "be no module that exists, which the project would hide"
    elif package in _TAKEN:
        problem = "be none of the project's own files"
    if problem is not None:
        raise ConfigError(f"Expected `NAME` to {problem}, but got {name!r}. Try my-{_plain(name)}.")
    return package


def _is_module(package: str) -> bool:
    """Say whether importing it would give something; a folder without code does not count."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


def _plain(name: str) -> str:
    """Keep of a name what may be in one."""
    return "-".join(re.findall(r"[A-Za-z0-9]+", name)) or "project"


def _templates() -> list[str]:
    top = Path(str(files("leyden.cli") / "template"))
    return sorted(str(path.relative_to(top)) for path in top.rglob(f"*{_ENDING}"))


def _write(name: str, folder: Path, words: dict[str, str]) -> str:
    """Write a file of the project from its template, and give its name."""
    text = (files("leyden.cli") / "template" / name).read_text(encoding="utf-8")
    name = name.removesuffix(_ENDING)
    for word, meant in words.items():
        name, text = name.replace(word, meant), text.replace(word, meant)
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return name

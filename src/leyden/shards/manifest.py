"""What a folder was packed from, and what its files should be."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path
from reprlib import repr as shortened
from types import MappingProxyType
from typing import Any

import numpy as np

from leyden.errors import DataError, MissingPathError, ShardError
from leyden.files import replacing
from leyden.shards.formats import split_name
from leyden.types import Array

__all__ = [
    "FileFacts",
    "Manifest",
    "describe_differences",
    "file_problem",
    "find_manifest",
    "read_manifest",
    "refuse_lost",
    "verify_pack",
    "write_array",
]

_NAME = "manifest.json"
_VERSION = 1
_SHOWN = 50  # files listed in one message
_MARKS = (b'"version"', b'"rows_per_shard"')  # no other program's manifest has both


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _are_names(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(one, str) for one in value))


_OTHERS = (
    "version",
    "num_rows",
    "class_names",
    "column_names",
    "checksum",
    "files",
)  # than the recipe
_KINDS: Mapping[str, Callable[[object], bool]] = MappingProxyType(
    {
        "version": lambda value: type(value) is int,
        "source": lambda value: isinstance(value, dict),
        "rows_per_shard": _is_count,
        "base": lambda value: isinstance(value, str),
        "oversample_last": lambda value: isinstance(value, bool),
        "num_rows": _is_count,
        "class_names": _are_names,
        "column_names": _are_names,
        "files": lambda value: isinstance(value, dict),
    }
)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file should be.

    Args:
        size: Bytes.
        dtype: Element type of its array.
        shape: Shape of its array, ``(rows, ...)``.
        sha256: Digest of its content.
    """

    size: int
    dtype: str
    shape: tuple[int, ...]
    sha256: str

    @staticmethod
    def parse(facts: Mapping[str, Any]) -> "FileFacts":
        """Take them from what JSON makes of them.

        Raises:
            KeyError: If some are missing.
            TypeError: If they are of other kinds.
        """
        size, dtype, shape, digest = (facts[key] for key in ("size", "dtype", "shape", "sha256"))
        counts, texts = (size, *shape), [dtype, digest]
        if not (all(map(_is_count, counts)) and _are_names(texts)):
            raise TypeError(f"these are no facts of a file: {shortened(facts)}")
        return FileFacts(size, dtype, tuple(shape), digest)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a folder was packed from, and what its files should be.

    Args:
        recipe: The source and the arguments.
        files: What is in the folder, by the names of the files.
        num_rows: Rows in all shards.
        class_names: What the labels 0, 1, ... stand for; ``None`` if they have no names.
        column_names: What the columns of the rows are called, where they are those of a table.
    """

    recipe: Mapping[str, Any]
    files: Mapping[str, FileFacts]
    num_rows: int
    class_names: tuple[str, ...] | None = None
    column_names: tuple[str, ...] | None = None

    def write(self, folder: Path) -> None:
        """Write ``manifest.json`` into a folder."""
        about = {
            "version": _VERSION,
            **self.recipe,
            "num_rows": self.num_rows,
            "class_names": self.class_names,
            "column_names": self.column_names,
        }
        written = {name: asdict(facts) for name, facts in self.files.items()}
        about["checksum"] = _checksum({**about, "files": written})
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in about.items()]
        files = [f"  {json.dumps(name)}: {json.dumps(facts)}" for name, facts in written.items()]
        lines.append('"files": {\n' + ",\n".join(files) + "\n }")
        text = "{\n " + ",\n ".join(lines) + "\n}\n"  # a line for every file
        with replacing(folder / _NAME) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _checksum(content: Mapping[str, Any]) -> str:
    """Digest what a manifest says, however it is written down."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read the manifest of a folder that was packed.

    Args:
        path: The folder.

    Raises:
        MissingPathError: If there is none.
        DataError: If it is damaged, of a later version, or one of another program.
    """
    folder = Path(path)
    return _parse(_load(_read(folder), folder), folder)


def find_manifest(path: str | os.PathLike[str]) -> Manifest | None:
    """Read the manifest of a folder, if it was packed.

    Args:
        path: Any folder; one without a manifest, or with one of another program, was not packed.

    Raises:
        DataError: If the manifest is damaged, or of a later version.
    """
    folder = Path(path)
    if not (folder / _NAME).is_file():
        return None
    text = _read(folder)
    is_ours = all(mark in text for mark in _MARKS)
    return _parse(_load(text, folder), folder) if is_ours else None


def _read(folder: Path) -> bytes:
    file = folder / _NAME
    if not file.is_file():
        problem = f"Expected a {_NAME} in {folder}, but there is none."
        raise MissingPathError(f"{problem} Folders have one that `leyden pack` or pack() made.")
    try:
        return file.read_bytes()
    except OSError as error:
        raise _damaged(folder, error) from None


def _load(text: bytes, folder: Path) -> dict[str, Any]:
    """Take what a manifest says from its text."""
    try:
        content = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise _damaged(folder, error) from None
    if not isinstance(content, dict):
        raise _damaged(folder, shortened(content))
    return content


def _parse(content: Mapping[str, Any], folder: Path) -> Manifest:
    """Take a manifest from what JSON makes of it."""
    for key, is_right in _KINDS.items():
        if key not in content and key != "column_names":  # which were not kept at first
            raise _damaged(folder, f"it has no {key!r}")
        if not is_right(content.get(key)):
            raise _damaged(folder, f"{key!r} is {shortened(content[key])}")
    if content["version"] != _VERSION:
        found = f"{content['version']!r} in {folder / _NAME}"
        problem = f"Expected a manifest of version {_VERSION}, but got {found}."
        raise DataError(f"{problem} Use the version of leyden that wrote it.")
    try:
        files = {name: FileFacts.parse(facts) for name, facts in content["files"].items()}
    except (KeyError, TypeError) as error:
        raise _damaged(folder, error) from None
    recipe = {key: content[key] for key in content if key not in _OTHERS}
    names, columns = content.get("class_names"), content.get("column_names")
    return Manifest(
        recipe, files, content["num_rows"], names and tuple(names), columns and tuple(columns)
    )


def _damaged(folder: Path, found: object) -> DataError:
    reason = repr(found) if isinstance(found, Exception) else found
    problem = f"Expected an intact manifest, but {folder / _NAME} cannot be read: {reason}."
    remedy = "Put it back, remove the folder and pack again, or remove it if it is not leyden's."
    return DataError(f"{problem} {remedy}")


def verify_pack(path: str | os.PathLike[str]) -> None:
    """Check that a folder is as it was packed: every file, its size and its digest.

    The manifest is checked by a digest of what it says, which those of earlier versions lack.

    Args:
        path: The folder.

    Raises:
        MissingPathError: If it has no manifest.
        DataError: If the manifest is damaged.
        ShardError: If files are missing or differ, there are more, or the manifest was changed; it
            lists all.

    Example:
        >>> import numpy as np
        >>> from leyden.shards import pack
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as place:
        ...     _ = pack(np.zeros((10, 3)), f"{place}/d", rows_per_shard=5)
        ...     verify_pack(f"{place}/d")
    """
    folder = Path(path)
    content = _load(_read(folder), folder)
    manifest = _parse(content, folder)
    problems = {_NAME: None if _is_as_written(content) else "other content"}
    problems |= {name: file_problem(folder / name, facts) for name, facts in manifest.files.items()}
    others = _list_used(folder, manifest.recipe.get("base", "")) - manifest.files.keys()
    problems |= dict.fromkeys(sorted(others), "not in the manifest")
    if lines := [f"{name}: {problem}" for name, problem in problems.items() if problem]:
        problem = f"Expected the files of {folder} to be as they were packed, but:"
        remedy = "Put the files back, or remove the folder and pack again."
        if others:
            remedy = f"{remedy} Move others elsewhere."
        raise ShardError("\n".join([problem, *_shorten(lines), remedy]))


def _is_as_written(content: Mapping[str, Any]) -> bool:
    """Say whether a manifest is as it was written, as far as it tells."""
    said = {key: value for key, value in content.items() if key != "checksum"}
    if "checksum" in content:
        return _checksum(said) == str(content["checksum"])
    return said.keys() <= _KINDS.keys()  # a key that is misspelt may be that of the digest


def _list_used(folder: Path, base: str) -> set[str]:
    """List files of a folder that are, or would be, taken for shards or labels of the pack."""
    shards = folder.glob(f"{escape(base)}[0-9]*.npy")
    labels = (*folder.glob("labels.*"), *folder.glob("labels/[!.]*"))
    paths = [*shards, *(path for path in labels if split_name(path.name)[1])]
    return {path.relative_to(folder).as_posix() for path in paths}


def refuse_lost(folder: Path, lost: Iterable[str]) -> None:
    """Make sure that no file was lost of a folder that was packed.

    Args:
        folder: The folder.
        lost: The files that it has no more.

    Raises:
        ShardError: If there are any.
    """
    if names := list(lost):
        problem = f"Expected the files of {folder} that were packed, but some are missing:"
        remedy = "Put them back, or remove the folder and pack again."
        without = f"To do without them, remove {folder / _NAME}, which has names of classes too."
        raise ShardError("\n".join([problem, *_shorten(names), f"{remedy} {without}"]))


def _shorten(lines: list[str]) -> list[str]:
    more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return [*lines[:_SHOWN], *more]


def file_problem(path: Path, facts: FileFacts) -> str | None:
    """Say what is wrong with a file; ``None`` if nothing is.

    Args:
        path: The file.
        facts: What it should be.
    """
    try:
        size = path.stat().st_size
        if size != facts.size:
            return f"{size} bytes instead of {facts.size}"
        digest = _digest(path)
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return None if digest == facts.sha256 else "other content"


def write_array(path: Path, array: Array) -> FileFacts:
    """Write a ``.npy`` file, whole or not at all.

    Args:
        path: The file.
        array: Numbers, ``(rows, ...)``.

    Raises:
        OSError: If it cannot be written; it has a number, which those of ``np.save`` lack.
    """
    native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, np.lib.format.header_data_from_array_1_0(native)
            )
            file.write(native.data)
        size, digest = temporary.stat().st_size, _digest(temporary)
    return FileFacts(size, str(native.dtype), native.shape, digest)


def describe_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[str]:
    """Show where two recipes differ, one line for each side.

    Example:
        >>> list(describe_differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}}))
        ['on disk: b.c=2', 'asked: b.c=3']
    """
    sides = _flatten(old), _flatten(new)
    keys = [key for key in {**sides[0], **sides[1]} if sides[0].get(key) != sides[1].get(key)]
    for name, side in zip(("on disk", "asked"), sides, strict=True):
        yield f"{name}: {', '.join(f'{key}={side.get(key)!r}' for key in keys)}"


def _flatten(recipe: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in recipe.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{name}": inner for name, inner in _flatten(value).items()}
        else:
            flat[key] = value
    return flat


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

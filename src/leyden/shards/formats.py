"""The registry of file formats: from an extension to an open array."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from numbers import Integral
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numpy as np

from leyden.errors import ConfigError, FormatError, LeydenError, ShardError, suggest
from leyden.shards.readers import (
    CsvReader,
    Hdf5Reader,
    Lz4Reader,
    NpyReader,
    NpzReader,
    ParquetReader,
    SafetensorsReader,
    ZstdReader,
    csv_columns,
    hdf5_keys,
    is_header,
    npz_keys,
    parquet_columns,
    reading,
    safetensors_keys,
)
from leyden.types import Key, Reader

__all__ = [
    "Format",
    "OpenFile",
    "ask",
    "count_rows",
    "format_of",
    "is_foreign",
    "known_extensions",
    "load_reader",
    "open_array",
    "register_format",
    "split_name",
]

OpenFile: TypeAlias = Callable[[Path], Reader]
"""Opens a file of one array."""

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Format:
    """How files of one extension are opened.

    Args:
        open: Called with the path and the name of the array wanted.
        keys: Lists the arrays or columns of a file; ``None`` if a file holds one array only.
        headings: For tables of text, lists the cells of the first line, whether they name columns
            or not.
        is_table: Whether the keys are columns of one table, rather than arrays of their own.
        is_builtin: Whether it is leyden's own, so that what it finds out may be remembered.
    """

    open: Callable[[Path, Key], Reader]
    keys: Callable[[Path], tuple[str, ...]] | None = None
    headings: Callable[[Path], tuple[str, ...]] | None = None
    is_table: bool = False
    is_builtin: bool = True


def _column_names(path: Path, delimiter: str | None) -> tuple[str, ...]:
    cells = csv_columns(path, delimiter=delimiter)
    with reading(path):
        return cells if is_header(cells) else ()


def _csv(delimiter: str | None = None) -> Format:
    return Format(
        partial(CsvReader, delimiter=delimiter),
        partial(_column_names, delimiter=delimiter),
        partial(csv_columns, delimiter=delimiter),
        is_table=True,
    )


def _one_array(open_file: OpenFile, *, is_builtin: bool = True) -> Format:
    return Format(lambda path, _key: open_file(path), is_builtin=is_builtin)


_HDF5 = Format(Hdf5Reader, hdf5_keys)


_FORMATS: dict[str, Format] = {
    ".npy": _one_array(NpyReader),
    ".npy.lz4": _one_array(Lz4Reader),
    ".npy.zst": _one_array(ZstdReader),
    ".npz": Format(NpzReader, npz_keys),
    ".h5": _HDF5,
    ".hdf5": _HDF5,
    ".safetensors": Format(SafetensorsReader, safetensors_keys),
    ".parquet": Format(ParquetReader, parquet_columns, is_table=True),
    ".csv": _csv(),
    ".tsv": _csv("\t"),
}


def register_format(extension: str, reader: OpenFile | str) -> None:
    """Teach leyden a file format.

    Args:
        extension: With its dot, such as ``".dat"``; it may have several, ``".npy.gz"``.
        reader: Opens a file: given its path, it returns something with ``shape``, ``dtype`` and
            ``read(rows)``. It should raise for a broken file. Or its import path.

    Raises:
        ConfigError: If ``extension`` does not start with a dot, or ``reader`` cannot be imported.
    """
    given: object = extension
    if not isinstance(given, str) or not given.startswith(".") or given == ".":
        raise ConfigError(f"Expected `extension` to start with a dot, but got {extension!r}.")
    _FORMATS[extension.lower()] = _one_array(load_reader(reader), is_builtin=False)


def load_reader(reader: OpenFile | str) -> OpenFile:
    """Import a reader that is named by its import path.

    Args:
        reader: Such as ``"package.module.function"``; a function or a class is returned as it is.

    Raises:
        ConfigError: If there is no such function or class, or it is none.
    """
    problem = f"Expected `reader` to be a function or its import path, but got {reader!r}"
    given: object = reader
    if callable(given):
        chosen: OpenFile = given
        return chosen
    if not isinstance(given, str):
        raise ConfigError(f"{problem}.")
    module_name, _, name = given.rpartition(".")
    if not module_name or given.startswith("."):
        raise ConfigError(f"{problem}. Write it as 'package.module.function'.")
    try:
        module = import_module(module_name)
    except ImportError as error:
        remedy = "Start where the module is, or install its package."
        raise ConfigError(f"{problem}: {error}. {remedy}") from error
    found = getattr(module, name, None)
    if not callable(found):
        what = "has no such name" if found is None else "has something else of that name"
        known = [item for item in vars(module) if not item.startswith("_")]
        raise ConfigError(f"{problem}: {module_name} {what}. {suggest(name, known)}")
    opener: OpenFile = found
    return opener


def known_extensions() -> tuple[str, ...]:
    """List the extensions that can be read, in alphabetical order."""
    return tuple(sorted(_FORMATS))


def split_name(name: str) -> tuple[str, str]:
    """Split a file name into stem and known extension, the longest that fits.

    Args:
        name: The file's name.

    Returns:
        Stem and extension; the extension is ``""`` where it is not a known one.

    Example:
        >>> split_name("ecg__12.npy"), split_name("README.md")
        (('ecg__12', '.npy'), ('README.md', ''))
    """
    lowered, start = name.lower(), name.find(".")
    while start >= 0 and lowered[start:] not in _FORMATS:
        start = name.find(".", start + 1)
    return (name[:start], lowered[start:]) if start >= 0 else (name, "")


def format_of(path: Path) -> Format:
    """Look up how a file is opened.

    Raises:
        FormatError: If its extension is not known.
    """
    _, extension = split_name(path.name)
    if not extension:
        problem = f"Expected a file of a known format, but got {path.name!r}."
        raise FormatError(f"{problem} {suggest(path.suffix, _FORMATS)}")
    return _FORMATS[extension]


def is_foreign(path: Path, reader: OpenFile | None) -> bool:
    """Say whether a file is opened by what is of the user's making.

    Args:
        path: The file.
        reader: Opens it instead of the format that its extension names.

    Raises:
        FormatError: If its extension is not known, and there is no ``reader``.
    """
    return reader is not None or not format_of(path).is_builtin


def ask(
    path: Path,
    function: Callable[_Arguments, _Answer],
    *arguments: _Arguments.args,
    **options: _Arguments.kwargs,
) -> _Answer:
    """Call what is of the user's making, and may raise anything for a broken file.

    Args:
        path: The file.
        function: Opens or reads it.
        *arguments: Handed on.
        **options: Likewise.

    Raises:
        ShardError: If the call fails.
    """
    try:
        with reading(path):
            return function(*arguments, **options)
    except (LeydenError, MemoryError):
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".: ")
        problem = f"Expected a file that its reader can read, but it raised {reason}."
        raise ShardError(problem, path=path) from error


def open_array(path: Path, key: Key = None, *, reader: OpenFile | None = None) -> Reader:
    """Open one array of a file.

    Args:
        path: The file.
        key: Which array; ``None`` for the only one.
        reader: Opens the file instead of the format that its extension names.

    Raises:
        ShardError: If the file is missing, unreadable or broken.
        ConfigError: If ``reader``, or one that is registered, opens it as something else.
        FormatError: If its extension is not known.
        MissingExtraError: If its format needs a package that is not installed.
    """
    with reading(path):
        if is_foreign(path, reader):
            opened, missing = ask(path, _open_foreign, reader or partial(_open, key=key), path)
        else:
            opened, missing = _open(path, key), []
    if missing:
        problem = "Expected `reader` to return something with `shape`, `dtype` and `read`"
        raise ConfigError(f"{problem}, but {type(opened).__name__} has no {', '.join(missing)}.")
    _check_make(opened)
    return opened


def _open(path: Path, key: Key) -> Reader:
    return format_of(path).open(path, key)


def _open_foreign(open_file: OpenFile, path: Path) -> tuple[Reader, list[str]]:
    """Open a file, and list what the reader lacks; to look at what it has may read the file."""
    opened = open_file(path)
    return opened, [name for name in ("shape", "dtype", "read") if not hasattr(opened, name)]


def _check_make(opened: Reader) -> None:
    """Make sure that shape and dtype, which may be of the user's making, are NumPy's."""
    shape: Any = opened.shape
    dtype: Any = opened.dtype
    problem = f"Expected `reader` to return something with a {{}}, but {type(opened).__name__} has"
    is_list = isinstance(shape, Sequence | np.ndarray)
    if not is_list or not all(isinstance(size, Integral) and int(size) >= 0 for size in shape):
        problem = problem.format("`shape` such as (rows, 3)")
        raise ConfigError(f"{problem} {shape!r}. Make it that of an array.")
    try:
        np.dtype(dtype)
    except TypeError:
        problem = problem.format("`dtype` of NumPy's")
        raise ConfigError(f"{problem} {dtype!r}. Make it that of an array.") from None


def count_rows(array: Reader, path: Path) -> int:
    """Count the rows along axis 0.

    Raises:
        ShardError: If the array is a single number.
    """
    if len(array.shape) == 0:
        raise ShardError("Expected rows along axis 0, but got a single number.", path=path)
    return int(array.shape[0])

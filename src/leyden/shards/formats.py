"""The registry of file formats: from an extension to an open array."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from leyden.errors import ConfigError, FormatError, ShardError, suggest
from leyden.shards.readers import NpyReader, NpzReader, npz_keys, reading
from leyden.shards.tables import CsvReader, csv_columns, is_header
from leyden.types import Key, Reader

__all__ = [
    "Format",
    "count_rows",
    "format_of",
    "known_extensions",
    "open_array",
    "register_format",
    "split_name",
]


@dataclass(frozen=True, slots=True)
class Format:
    """How files of one extension are opened.

    Args:
        open: Called with the path and the name of the array wanted.
        keys: Lists the arrays or columns of a file; ``None`` if a file holds one array only.
        headings: For tables, lists the cells of the first line, whether they name columns or not.
    """

    open: Callable[[Path, Key], Reader]
    keys: Callable[[Path], tuple[str, ...]] | None = None
    headings: Callable[[Path], tuple[str, ...]] | None = None

    @property
    def is_table(self) -> bool:
        """Whether the keys are columns of one table, rather than arrays of their own."""
        return self.headings is not None


def _column_names(path: Path, delimiter: str) -> tuple[str, ...]:
    cells = csv_columns(path, delimiter=delimiter)
    return cells if is_header(cells) else ()


def _csv(delimiter: str) -> Format:
    return Format(
        partial(CsvReader, delimiter=delimiter),
        partial(_column_names, delimiter=delimiter),
        partial(csv_columns, delimiter=delimiter),
    )


_FORMATS: dict[str, Format] = {
    ".npy": Format(lambda path, _key: NpyReader(path)),
    ".npz": Format(NpzReader, npz_keys),
    ".csv": _csv(","),
    ".tsv": _csv("\t"),
}


def register_format(extension: str, reader: Callable[[Path], Reader]) -> None:
    """Teach leyden a file format.

    Args:
        extension: With its dot, such as ``".dat"``; it may have several, ``".npy.gz"``.
        reader: Opens a file: given its path, it returns something with ``shape``, ``dtype`` and
            ``read(rows)``. It should raise for a broken file.

    Raises:
        ConfigError: If ``extension`` does not start with a dot.
    """
    if not extension.startswith(".") or extension == ".":
        raise ConfigError(f"Expected `extension` to start with a dot, but got {extension!r}.")
    _FORMATS[extension.lower()] = Format(lambda path, _key: reader(path))


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
    fitting = [extension for extension in _FORMATS if name.lower().endswith(extension)]
    extension = max(fitting, key=len, default="")
    return name[: len(name) - len(extension)], extension


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


def open_array(
    path: Path, key: Key = None, *, reader: Callable[[Path], Reader] | None = None
) -> Reader:
    """Open one array of a file.

    Args:
        path: The file.
        key: Which array; ``None`` for the only one.
        reader: Opens the file instead of the format that its extension names.

    Raises:
        ShardError: If the file is missing, unreadable or broken.
        FormatError: If its extension is not known.
    """
    with reading(path):
        return reader(path) if reader else format_of(path).open(path, key)


def count_rows(array: Reader, path: Path) -> int:
    """Count the rows along axis 0.

    Raises:
        ShardError: If the array is a single number.
    """
    if len(array.shape) == 0:
        raise ShardError("Expected rows along axis 0, but got a single number.", path=path)
    return array.shape[0]

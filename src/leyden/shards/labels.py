"""Where the labels are, and whether there is one for every row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leyden.errors import DiscoveryError, MissingPathError, ShardError
from leyden.shards.catalog import Piece
from leyden.shards.formats import count_rows, format_of, known_extensions, open_array
from leyden.shards.numbering import list_some, number_files

__all__ = [
    "LABEL_NAMES",
    "LabelSource",
    "check_labels",
    "find_labels",
    "locate_labels",
    "read_label_file",
]

LABEL_NAMES = ("y", "label", "labels", "target", "targets")
"""Names of an array or a column that is taken for labels."""


@dataclass(frozen=True, slots=True)
class LabelSource:
    """Where labels were found.

    Args:
        path: File or folder.
        rule: Which rule found it, for people.
        is_explicit: Whether the user named it.
    """

    path: Path
    rule: str
    is_explicit: bool = False


def find_labels(folder: Path) -> LabelSource | None:
    """Look for labels beside the shards of a folder.

    Args:
        folder: Where the shards are.

    Returns:
        The first of ``labels.*`` and ``labels/`` in the folder, then ``<folder>_labels.*`` and
        ``<folder>_labels/`` beside it; ``None`` if there is none.

    Raises:
        DiscoveryError: If two files fit one rule.
    """
    beside = folder.resolve().parent
    for place, stem in ((folder, "labels"), (beside, f"{folder.resolve().name}_labels")):
        files = [place / f"{stem}{extension}" for extension in known_extensions()]
        found = [path for path in files if path.is_file()]
        if len(found) > 1:
            names = list_some(path.name for path in found)
            problem = f"Expected one label file in {place}, but got {names}."
            raise DiscoveryError(f"{problem} Pass `labels` with the path of one of them.")
        if found:
            return LabelSource(found[0], f"the file {found[0].name}")
        if (place / stem).is_dir():
            return LabelSource(place / stem, f"the folder {stem}/")
    return None


def locate_labels(source: LabelSource, lengths: Mapping[int, int]) -> dict[int, Piece]:
    """Find the labels of each set.

    Args:
        source: Where they are.
        lengths: Rows of each set, by set number.

    Returns:
        Where each set's labels are, by set number.

    Raises:
        MissingPathError: If there is no such file or folder.
        DiscoveryError: If sets lack labels, labels lack sets, or their counts differ.
    """
    if source.path.is_dir():
        pieces = {
            number: read_label_file(path, number)
            for number, path in number_files(source.path).paths.items()
        }
    elif source.path.is_file():
        pieces = _from_file(source.path, lengths)
    else:
        raise MissingPathError(f"Expected `labels` to exist, but got {str(source.path)!r}.")
    return check_labels(source, pieces, lengths)


def read_label_file(path: Path, set_number: int) -> Piece:
    """Locate the labels of one set in a file of its own."""
    try:
        key = _only_key(path)
        return Piece(path, count_rows(open_array(path, key), path), key)
    except ShardError as error:
        error.set_number = set_number
        raise


def _only_key(path: Path) -> str | None:
    keys = format_of(path).keys
    names = keys(path) if keys else ()
    named = [name for name in names if name.lower() in LABEL_NAMES]
    chosen = named or names
    if len(chosen) > 1:
        problem = f"Expected one array of labels in {path}, but got {list_some(chosen)}."
        raise DiscoveryError(f"{problem} Keep one, or name it 'labels'.")
    if chosen:
        return chosen[0]
    return "f0" if format_of(path).is_table else None  # a column without a name is called f0


def _from_file(path: Path, lengths: Mapping[int, int]) -> dict[int, Piece]:
    by_number = _numbered_keys(path, lengths)
    if by_number:
        return {
            number: Piece(path, count_rows(open_array(path, key), path), key)
            for number, key in by_number.items()
        }
    return _aligned(path, _only_key(path), lengths)


def _numbered_keys(path: Path, lengths: Mapping[int, int]) -> dict[int, str]:
    """Keys or columns that are set numbers, if the file is made of such."""
    file_format = format_of(path)
    if file_format.keys is None:
        return {}
    names = file_format.headings(path) if file_format.headings else file_format.keys(path)
    if not names or not all(name.isdecimal() for name in names):
        return {}
    by_number = {int(name): name for name in names}
    if len(by_number) < len(names):
        raise DiscoveryError(
            f"Expected each set number once in {path}, but got {list_some(names)}."
        )
    # A table without a header line may begin with whole numbers; it is no header unless it
    # names a set that exists.
    return by_number if file_format.headings is None or by_number.keys() & lengths else {}


def _aligned(path: Path, key: str | None, lengths: Mapping[int, int]) -> dict[int, Piece]:
    """Labels stored row after row, or set after set, in the order of the set numbers."""
    shape = tuple(open_array(path, key).shape)
    total, sizes = sum(lengths.values()), set(lengths.values())
    by_set = len(sizes) == 1 and shape[:2] == (len(lengths), *sizes) and shape[0] != total
    if not by_set and shape[0] != total:
        raise DiscoveryError(
            f"Expected one label per row, {total:,} in {len(lengths)} sets, but got"
            f" {shape[0]:,} in {path}."
        )
    starts = np.cumsum([0, *lengths.values()]).tolist()
    return {
        number: Piece(path, rows, key, start, by_set)
        for (number, rows), start in zip(lengths.items(), starts, strict=False)
    }


def check_labels(
    source: LabelSource, pieces: Mapping[int, Piece], lengths: Mapping[int, int]
) -> dict[int, Piece]:
    """Make sure that every row of every set has a label.

    Args:
        source: Where the labels were found, for the error.
        pieces: Where each set's labels are, by set number.
        lengths: Rows of each set, by set number.

    Returns:
        The labels of the sets that exist, in their order.

    Raises:
        DiscoveryError: If sets lack labels, labels lack sets, or their counts differ; it lists all.
    """
    problems = []
    if missing := [number for number in lengths if number not in pieces]:
        problems.append(f"no labels for sets {list_some(missing)}")
    surplus = [number for number in pieces if number not in lengths]
    if surplus and not source.is_explicit:
        problems.append(f"labels for sets that do not exist: {list_some(surplus)}")
    problems.extend(
        f"set {number} has {rows} rows but {pieces[number].num_rows} labels"
        for number, rows in lengths.items()
        if number in pieces and pieces[number].num_rows != rows
    )
    if problems:
        listing = "\n".join(_shorten(problems))
        raise DiscoveryError(
            f"Expected one label for every row, but in {source.path}:\n{listing}\n"
            "Mend the files, or pass `labels` (a path, or None for no labels)."
        )
    return {number: pieces[number] for number in lengths}


def _shorten(lines: Iterable[str], limit: int = 50) -> list[str]:
    texts = list(lines)
    more = [f"... and {len(texts) - limit} more"] if len(texts) > limit else []
    return texts[:limit] + more

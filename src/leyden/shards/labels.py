"""Where the labels are, and whether there is one for every row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from leyden.errors import DiscoveryError, MissingPathError
from leyden.shards.catalog import Piece, measure
from leyden.shards.formats import format_of, known_extensions
from leyden.shards.numbering import list_some, number_files
from leyden.shards.readers import reading

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
        found = [path for path in files if path.is_file() or path.is_symlink()]
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
    with reading(path, set_number=set_number):
        return measure(path, _only_key(path))


def _only_key(path: Path) -> str | None:
    file_format = format_of(path)
    names = file_format.keys(path) if file_format.keys else ()
    chosen = [name for name in names if name.lower() in LABEL_NAMES] or names
    if not chosen and file_format.headings:
        chosen = file_format.headings(path)  # of a table without a header line: only to count them
    if len(chosen) > 1:
        problem = f"Expected one array of labels in {path}, or one for each set number"
        remedy = "Keep one, or name it 'labels'."
        raise DiscoveryError(f"{problem}, but got {list_some(chosen)}. {remedy}")
    if names:
        return chosen[0]
    return "f0" if file_format.is_table else None  # a column without a name is called f0


def _from_file(path: Path, lengths: Mapping[int, int]) -> dict[int, Piece]:
    pieces = {}
    for number, key in _numbered_keys(path, lengths).items():
        with reading(path, set_number=number):
            pieces[number] = measure(path, key)
    return pieces or _aligned(path, lengths)


def _numbered_keys(path: Path, lengths: Mapping[int, int]) -> dict[int, str]:
    """Keys or columns that are set numbers, if the file is made of such."""
    file_format = format_of(path)
    list_names = file_format.headings or file_format.keys
    names = list_names(path) if list_names else ()
    if not names or not all(name.isdecimal() for name in names):
        return {}
    if file_format.is_table and not _is_heading(path, names, lengths):
        return {}
    by_number = {int(name): name for name in names}
    if len(by_number) < len(names):
        problem = f"Expected each set number once in {path}, but got {list_some(names)}."
        raise DiscoveryError(problem)
    return by_number


def _is_heading(path: Path, cells: Sequence[str], lengths: Mapping[int, int]) -> bool:
    """Say whether whole numbers in the first line of a table name sets, or are labels already."""
    numbers = {int(cell) for cell in cells}
    if len(cells) == 1 and measure(path, "f0").num_rows == sum(lengths.values()):
        return False
    return len(numbers) == len(cells) and not numbers.isdisjoint(lengths)


def _aligned(path: Path, lengths: Mapping[int, int]) -> dict[int, Piece]:
    """Labels stored row after row, or set after set, in the order of the set numbers."""
    whole = measure(path, _only_key(path))
    total, sizes = sum(lengths.values()), set(lengths.values())
    by_set = whole.shape[:2] == (len(lengths), *sizes) and whole.num_rows != total
    if not by_set and whole.num_rows != total:
        raise DiscoveryError(
            f"Expected one label per row, {total:,} in {len(lengths)} sets, but got"
            f" {whole.num_rows:,} in {path}."
        )
    starts = np.cumsum([0, *lengths.values()]).tolist()
    return {
        number: replace(whole, num_rows=rows, start=start, by_set=by_set)
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

"""Where the labels are, and whether there is one for every row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from leyden.errors import DiscoveryError, MissingPathError
from leyden.shards.formats import format_of, known_extensions, split_name
from leyden.shards.headers import Headers
from leyden.shards.numbering import list_some, number_files, number_keys
from leyden.shards.pieces import Piece
from leyden.shards.readers import reading

__all__ = [
    "LABEL_NAMES",
    "LabelSource",
    "check_labels",
    "find_labels",
    "locate_labels",
    "read_label_file",
    "shorten",
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


def find_labels(path: Path) -> LabelSource | None:
    """Look for labels beside the shards of a folder, or beside a dataset file.

    Args:
        path: The folder that the shards are in, or the file.

    Returns:
        For a folder, the first of ``labels.*`` and ``labels/`` in it, then ``<folder>_labels.*``
        and ``<folder>_labels/`` beside it, and of a link, also beside what it leads to; for a
        file, of ``<stem>_labels.*``, ``<stem>_labels/``, ``labels.*`` and ``labels/`` beside it;
        ``None`` if there is none.

    Raises:
        DiscoveryError: If two files fit one rule.
    """
    for place, stem in _label_places(path):
        files = [place / f"{stem}{extension}" for extension in known_extensions()]
        found = [file for file in files if file != path and (file.is_file() or file.is_symlink())]
        if len(found) > 1:
            names = list_some(file.name for file in found)
            problem = f"Expected one label file in {place}, but got {names}."
            raise DiscoveryError(f"{problem} Pass `labels` with the path of one of them.")
        if found:
            return LabelSource(found[0], f"the file {found[0].name}")
        if (place / stem).is_dir():
            return LabelSource(place / stem, f"the folder {stem}/")
    return None


def _label_places(path: Path) -> tuple[tuple[Path, str], ...]:
    if path.is_dir():
        folders = [path.absolute(), path.resolve()]  # the first has no name of its own for "d/.."
        named = [folder for folder in folders if folder.name not in ("", "..")]
        return (path, "labels"), *((folder.parent, f"{folder.name}_labels") for folder in named)
    stem, extension = split_name(path.name)
    stem = stem if extension else path.stem
    return (path.parent, f"{stem}_labels"), (path.parent, "labels")


def locate_labels(
    source: LabelSource,
    lengths: Mapping[int, int],
    headers: Headers | None = None,
    *,
    by_set: bool = False,
) -> dict[int, Piece]:
    """Find the labels of each set.

    Args:
        source: Where they are.
        lengths: Rows of each set, by set number.
        headers: Asks the files; ``None`` to remember nothing.
        by_set: Whether the rows are stored ``(sets, rows, ...)``, so that labels are where they
            can be either.

    Returns:
        Where each set's labels are, by set number.

    Raises:
        MissingPathError: If there is no such file or folder.
        DiscoveryError: If sets lack labels, labels lack sets, or their counts differ.
    """
    headers = headers or Headers()
    if source.path.is_dir():
        pieces = {
            number: read_label_file(path, number, headers)
            for number, path in number_files(source.path).paths.items()
        }
    elif source.path.is_file():
        pieces = _from_file(source.path, lengths, headers, by_set=by_set)
    else:
        raise MissingPathError(f"Expected `labels` to exist, but got {str(source.path)!r}.")
    return check_labels(source, pieces, lengths)


def read_label_file(path: Path, set_number: int, headers: Headers | None = None) -> Piece:
    """Locate the labels of one set in a file of its own."""
    headers = headers or Headers()
    with reading(path, set_number=set_number):
        return headers.measure(path, _only_key(path, headers))


def _only_key(path: Path, headers: Headers) -> str | None:
    names = headers.keys(path)
    # A table without a header line has headings all the same: only to count them.
    chosen = (
        [name for name in names if name.lower() in LABEL_NAMES] or names or headers.headings(path)
    )
    if len(chosen) > 1:
        problem = f"Expected one array of labels in {path}, or one for each set number"
        remedy = "Keep one, or name it 'labels'."
        raise DiscoveryError(f"{problem}, but got {list_some(chosen)}. {remedy}")
    if names:
        return chosen[0]
    return "f0" if format_of(path).is_table else None  # a column without a name is called f0


def _from_file(
    path: Path, lengths: Mapping[int, int], headers: Headers, *, by_set: bool
) -> dict[int, Piece]:
    pieces = {}
    for number, key in _numbered_keys(path, lengths, headers).items():
        with reading(path, set_number=number):
            pieces[number] = headers.measure(path, key)
    return pieces or _aligned(path, lengths, headers, prefers_sets=by_set)


def _numbered_keys(path: Path, lengths: Mapping[int, int], headers: Headers) -> dict[int, str]:
    """Keys or columns that are set numbers, if the file is made of such."""
    names = headers.headings(path) or headers.keys(path)
    if not names or not all(name.isdecimal() for name in names):
        return {}
    if format_of(path).is_table and not _names_sets(path, names, lengths, headers):
        return {}
    return number_keys(path, names)


def _names_sets(
    path: Path, names: Sequence[str], lengths: Mapping[int, int], headers: Headers
) -> bool:
    """Say whether the columns of a table, called by whole numbers, are the labels of sets.

    The first line of a table of text may be labels already; and tables of other programs number
    columns that nobody gave a name.
    """
    numbers = {int(name) for name in names}
    only_column = "f0" if headers.headings(path) else names[0]
    if len(names) == 1 and headers.measure(path, only_column).num_rows == sum(lengths.values()):
        return False
    return len(numbers) == len(names) and not numbers.isdisjoint(lengths)


def _aligned(
    path: Path, lengths: Mapping[int, int], headers: Headers, *, prefers_sets: bool
) -> dict[int, Piece]:
    """Labels stored row after row, or set after set, in the order of the set numbers."""
    whole = headers.measure(path, _only_key(path, headers))
    total, sizes = sum(lengths.values()), set(lengths.values())
    by_set = whole.shape[:2] == (len(lengths), *sizes)
    by_set = by_set and (prefers_sets or whole.num_rows != total)
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
        listing = "\n".join(shorten(problems))
        raise DiscoveryError(
            f"Expected one label for every row, but in {source.path}:\n{listing}\n"
            "Mend the files, or pass `labels` (a path, or None for no labels)."
        )
    return {number: pieces[number] for number in lengths}


def shorten(lines: Iterable[str], limit: int = 50) -> list[str]:
    """Keep the first of many lines for a message, and say how many more there are.

    Example:
        >>> shorten(["a", "b", "c"], limit=1)
        ['a', '... and 2 more']
    """
    texts = list(lines)
    more = [f"... and {len(texts) - limit} more"] if len(texts) > limit else []
    return texts[:limit] + more

"""AutoData: from a folder of numbered files to a catalogue of its sets."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from leyden.errors import (
    ConfigError,
    MissingPathError,
    ShardError,
    suggest,
)
from leyden.shards.catalog import Catalog, Shard
from leyden.shards.dataset_file import Cut, FoundSets, LeadingAxis, find_in_file, open_shard
from leyden.shards.formats import OpenFile, format_of, load_reader
from leyden.shards.headers import Headers, is_memory, memory_of
from leyden.shards.labels import LabelSource, check_labels, find_labels, locate_labels
from leyden.shards.numbering import Numbered, list_some, number_files
from leyden.shards.pieces import Piece
from leyden.shards.readers import reading

__all__ = ["Labels", "discover"]

Labels: TypeAlias = Literal["auto", "inputs"] | str | os.PathLike[str] | None
"""How to find labels: by the rules, the inputs themselves, a path, or none."""


def discover(
    path: str | os.PathLike[str],
    *,
    labels: Labels = "auto",
    pattern: str | None = None,
    reader: OpenFile | str | None = None,
    rows_per_set: int = 32,
    leading_axis: LeadingAxis = "rows",
) -> Catalog:
    """Infer sets, shapes and labels from a folder of files ``<base><integer><extension>``.

    Headers are read, rows are not. Labels are looked for, in this order, in the shards themselves
    (an array or column ``y``, ``label``, ``labels``, ``target`` or ``targets``), in ``labels.*``
    and ``labels/`` in the folder, and in ``<folder>_labels.*`` and ``<folder>_labels/`` beside it.

    A single file is a dataset: with an array for each set, called by its number, or with one array
    or table of rows, which is cut into sets that are numbered from 1. Labels are looked for in the
    table itself, in ``<stem>_labels.*`` and in ``labels.*`` beside the file.

    Where reading the headers takes long, what they say is remembered in a hidden file in the
    folder, and used for as long as sizes and times of the files stay what they are.

    Args:
        path: The folder, or the file.
        labels: ``"auto"`` for the search above; a path; ``"inputs"`` to predict the inputs
            themselves; ``None`` for no labels.
        pattern: A glob for the names of the shards, such as ``"x_*.npy"``; or a regular expression
            for the name without extension that has a group ``(?P<number>...)``.
        reader: Opens the files instead of the format that their extension names; or its import
            path, such as ``"package.module.function"``.
        rows_per_set: Rows of a table that make a set. It is not the batch size, so that the batch
            size has no influence on which rows are held out.
        leading_axis: ``"sets"`` if the array of a dataset file is stored ``(sets, rows, ...)``.

    Returns:
        The catalogue of the folder or file.

    Raises:
        ConfigError: If an argument is wrong, or does not go with ``path``.
        MissingPathError: If ``path`` or ``labels`` does not exist.
        DiscoveryError: If it is not plain which files are shards, or labels and rows disagree.
        FormatError: If ``path`` is a file of an unknown format.
        MissingExtraError: If a format needs a package that is not installed.
        ShardError: If a file is broken, or its rows are unlike those of the others.
    """
    place, opener, cut = (
        _existing(Path(path)),
        load_reader(reader) if reader else None,
        Cut(rows_per_set, leading_axis),
    )
    named, headers = _named_source(labels), Headers(memory_of(place))
    if place.is_dir():
        cut.refuse_sets(place, "a folder of shards")
        numbered = number_files(
            place,
            pattern=pattern,
            any_extension=opener is not None,
            skip=[named.path] if named else [],
        )
        sets = _open_all(numbered, headers, reader=opener, with_labels=labels == "auto")
    else:
        _check_file(place, pattern, opener)
        sets = find_in_file(place, cut, headers, reader=opener, with_labels=labels == "auto")
    found, rule = _find_pieces(place, labels, named, sets, headers)
    headers.save()
    _check_alike("rows", sets.data, by_key=place.is_dir())
    _check_alike("labels", found, by_key=False)
    facts = [("shards", sets.rule), ("labels from", rule)]
    if others := _list_others(place, sets.left_out, found.values()):
        facts.append(("left out", list_some(others)))
    first, first_label = next(iter(sets.data.values())), next(iter(found.values()), None)
    return Catalog(
        path=place,
        shards=tuple(
            Shard(number, piece, found.get(number)) for number, piece in sets.data.items()
        ),
        sample_shape=first.row_shape,
        dtype=np.dtype(first.dtype),
        label_shape=first_label.row_shape if first_label else None,
        label_dtype=first_label.dtype if first_label else None,
        facts=tuple(facts),
        reader=opener,
    )


def _existing(path: Path) -> Path:
    if path.exists():
        return path
    parent = path.parent
    problem = f"Expected `path` to exist, but got {str(path)!r}."
    if not parent.is_dir():
        raise MissingPathError(f"{problem} There is no {str(parent)!r} either.")
    folders = [entry.name for entry in parent.iterdir() if entry.is_dir() or path.suffix]
    near = suggest(path.name, (name for name in folders if not name.startswith(".")))
    raise MissingPathError(f"{problem} {near}")


def _check_file(path: Path, pattern: str | None, reader: OpenFile | None) -> None:
    if pattern is not None:
        problem = f"Expected no `pattern` for a single file, but got {pattern!r} for {path}."
        raise ConfigError(f"{problem} Pass the folder that holds it.")
    if reader is None:
        format_of(path)


def _named_source(labels: object) -> LabelSource | None:
    if labels is None or (isinstance(labels, str) and labels in ("auto", "inputs")):
        return None
    if not isinstance(labels, (str, os.PathLike)):
        choices = "'auto', 'inputs', None or a path"
        raise ConfigError(f"Expected `labels` to be {choices}, but got {labels!r}.")
    source = LabelSource(Path(labels), f"`labels`: {labels}", is_explicit=True)
    if not source.path.exists():
        problem = f"Expected `labels` to exist, but got {str(labels)!r}."
        raise MissingPathError(f"{problem} Pass 'auto', 'inputs', None or the path of the labels.")
    return source


def _open_all(
    numbered: Numbered, headers: Headers, *, reader: OpenFile | None, with_labels: bool
) -> FoundSets:
    """Open the shards of a folder: where their rows are, and where labels inside them are."""
    data, inside = {}, {}
    for number, path in numbered.paths.items():
        with reading(path, set_number=number):
            data[number], found = open_shard(path, headers, reader=reader, with_labels=with_labels)
        if found is not None:
            inside[number] = found
    return FoundSets(data, inside, numbered.rule, numbered.left_out)


def _check_alike(what: str, pieces: Mapping[int, Piece], *, by_key: bool) -> None:
    """Make sure that rows of all sets have one shape, one dtype and, if asked, the same columns."""
    makes: dict[tuple[object, ...], str] = {}
    for number, piece in pieces.items():
        key = piece.key if by_key else None
        columns = "" if key is None else f" {list_some([key] if isinstance(key, str) else key)}"
        make = f"{piece.dtype} {piece.row_shape}{columns}"
        line = f"set {number}: {make} in {piece.path}"
        makes.setdefault((piece.row_shape, piece.dtype, key), line)
    if len(makes) > 1:
        problem = f"Expected {what} of one shape and dtype in all sets, but they differ."
        raise ShardError("\n".join([problem, *makes.values()]))


def _find_pieces(
    path: Path,
    labels: Labels,
    named: LabelSource | None,
    sets: FoundSets,
    headers: Headers,
) -> tuple[dict[int, Piece], str]:
    """Apply the rules for labels: where each set's are, and by which rule."""
    lengths = {number: piece.num_rows for number, piece in sets.data.items()}
    if labels is None:
        return {}, "nowhere, as asked"
    if labels == "inputs":
        return sets.data, "the inputs themselves, as asked"
    if named is None and sets.inside:
        source = LabelSource(path, "the shards themselves" if path.is_dir() else "the same file")
        return check_labels(source, sets.inside, lengths), f"{source.rule}"
    source_found = named or find_labels(path)
    if source_found is None:
        return {}, "nowhere: none found"
    return locate_labels(source_found, lengths, headers), source_found.rule


def _list_others(place: Path, names: Iterable[str], used: Iterable[Piece]) -> list[str]:
    """List the files, or arrays of the file, that hold neither rows nor labels."""
    files = {piece.path for piece in used}
    paths = {path.resolve() for path in files}
    return [
        name
        for name in names
        if not is_memory(name) and (place.is_file() or (place / name).resolve() not in paths)
    ]

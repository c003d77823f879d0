"""AutoData: from a folder of numbered files to a catalogue of its sets."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from leyden.errors import ConfigError, DiscoveryError, MissingPathError, ShardError, suggest
from leyden.shards.catalog import Catalog, Piece, Shard, measure
from leyden.shards.formats import format_of
from leyden.shards.labels import (
    LABEL_NAMES,
    LabelSource,
    check_labels,
    find_labels,
    locate_labels,
)
from leyden.shards.numbering import list_some, number_files
from leyden.shards.readers import reading
from leyden.types import Key, Reader

__all__ = ["Labels", "discover"]

Labels: TypeAlias = Literal["auto", "inputs"] | str | os.PathLike[str] | None
"""How to find labels: by the rules, the inputs themselves, a path, or none."""

_OpenFile: TypeAlias = Callable[[Path], Reader]


def discover(
    path: str | os.PathLike[str],
    *,
    labels: Labels = "auto",
    pattern: str | None = None,
    reader: _OpenFile | None = None,
) -> Catalog:
    """Infer sets, shapes and labels from a folder of files ``<base><integer><extension>``.

    Headers are read, rows are not. Labels are looked for, in this order, in the shards themselves
    (an array or column ``y``, ``label``, ``labels``, ``target`` or ``targets``), in ``labels.*``
    and ``labels/`` in the folder, and in ``<folder>_labels.*`` and ``<folder>_labels/`` beside it.

    Args:
        path: The folder.
        labels: ``"auto"`` for the search above; a path; ``"inputs"`` to predict the inputs
            themselves; ``None`` for no labels.
        pattern: A glob for the names of the shards, such as ``"x_*.npy"``; or a regular expression
            for the name without extension that has a group ``(?P<number>...)``.
        reader: Opens the files instead of the format that their extension names.

    Returns:
        The catalogue of the folder.

    Raises:
        MissingPathError: If ``path`` or ``labels`` does not exist.
        DiscoveryError: If it is not plain which files are shards, or labels and rows disagree.
        ShardError: If a file is broken, or its rows are unlike those of the others.
    """
    folder = _existing_folder(Path(path))
    named = _named_source(labels)
    skip = [named.path] if named else []
    numbered = number_files(folder, pattern=pattern, any_extension=reader is not None, skip=skip)
    pieces = {
        number: _open_shard(number, file, reader, labels) for number, file in numbered.paths.items()
    }
    data = {number: piece for number, (piece, _) in pieces.items()}
    inside = {number: piece for number, (_, piece) in pieces.items() if piece is not None}
    found, rule = _find_pieces(folder, labels, named, data, inside)
    _check_alike("rows", data, by_key=True)
    _check_alike("labels", found, by_key=False)
    facts = [("shards", numbered.rule), ("labels from", rule)]
    if others := _list_others(folder, numbered.left_out, found.values()):
        facts.append(("left out", list_some(others)))
    first, first_label = next(iter(data.values())), next(iter(found.values()), None)
    return Catalog(
        path=folder,
        shards=tuple(Shard(number, piece, found.get(number)) for number, piece in data.items()),
        sample_shape=first.row_shape,
        dtype=np.dtype(first.dtype),
        label_shape=first_label.row_shape if first_label else None,
        label_dtype=first_label.dtype if first_label else None,
        facts=tuple(facts),
        reader=reader,
    )


def _existing_folder(path: Path) -> Path:
    if path.is_dir():
        return path
    if path.exists():
        problem = (
            f"Expected `path` to be a folder of numbered files, but got the file {str(path)!r}."
        )
        raise DiscoveryError(f"{problem} Pass the folder that holds it.")
    parent = path.parent
    problem = f"Expected `path` to exist, but got {str(path)!r}."
    if not parent.is_dir():
        raise MissingPathError(f"{problem} There is no {str(parent)!r} either.")
    folders = [entry.name for entry in parent.iterdir() if entry.is_dir()]
    near = suggest(path.name, (name for name in folders if not name.startswith(".")))
    raise MissingPathError(f"{problem} {near}")


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


def _open_shard(
    number: int, path: Path, reader: _OpenFile | None, labels: Labels
) -> tuple[Piece, Piece | None]:
    """Open one shard: where its rows are, and where labels inside it are."""
    with reading(path, set_number=number):
        data_key, label_key = (None, None) if reader else _keys(path)
        data = measure(path, data_key, reader=reader)
        if data.num_rows == 0:
            raise ShardError("Expected at least one row, but got none. Remove the file.", path=path)
        if label_key is None or labels != "auto":
            return data, None
        return data, measure(path, label_key)


def _keys(path: Path) -> tuple[Key, str | None]:
    """Choose the arrays or columns of a shard: those of the inputs, and that of the labels."""
    file_format = format_of(path)
    names = file_format.keys(path) if file_format.keys else ()
    label_names = [name for name in names if name.lower() in LABEL_NAMES]
    inputs = tuple(name for name in names if name not in label_names)
    if len(label_names) > 1:
        problem = f"Expected one array of labels in a shard, but got {list_some(label_names)}."
        raise ShardError(f"{problem} Keep one of them.", path=path)
    label_name = label_names[0] if label_names else None
    if not names:
        return None, None
    if not inputs:
        problem = f"Expected an array of inputs beside {label_name!r}, but there is none."
        raise ShardError(problem, path=path)
    if file_format.is_table:
        return inputs, label_name
    if len(inputs) > 1:
        problem = f"Expected one array of inputs in a shard, but got {list_some(inputs)}."
        raise ShardError(f"{problem} Keep one; name labels 'y'.", path=path)
    return inputs[0], label_name


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
    folder: Path,
    labels: Labels,
    named: LabelSource | None,
    data: dict[int, Piece],
    inside: dict[int, Piece],
) -> tuple[dict[int, Piece], str]:
    """Apply the rules for labels: where each set's are, and by which rule."""
    lengths = {number: piece.num_rows for number, piece in data.items()}
    if labels is None:
        return {}, "nowhere, as asked"
    if labels == "inputs":
        return data, "the inputs themselves, as asked"
    if named is None and inside:
        source = LabelSource(folder, "the shards themselves")
        return check_labels(source, inside, lengths), f"{source.rule}"
    source_found = named or find_labels(folder)
    if source_found is None:
        return {}, "nowhere: none found"
    return locate_labels(source_found, lengths), source_found.rule


def _list_others(folder: Path, names: Iterable[str], used: Iterable[Piece]) -> list[str]:
    """List the files that hold neither rows nor labels."""
    paths = {piece.path.resolve() for piece in used}
    return [name for name in names if (folder / name).resolve() not in paths]

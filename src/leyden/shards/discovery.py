"""AutoData: from a folder of numbered files to a catalogue of its sets."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from leyden.errors import ConfigError, DiscoveryError, MissingPathError, ShardError, suggest
from leyden.shards.catalog import Catalog, Piece, Shard
from leyden.shards.formats import count_rows, format_of, open_array
from leyden.shards.labels import (
    LABEL_NAMES,
    LabelSource,
    check_labels,
    find_labels,
    locate_labels,
)
from leyden.shards.numbering import list_some, number_files
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
    shards = {
        number: _open_shard(number, file, reader, labels) for number, file in numbered.paths.items()
    }
    _check_alike({number: (piece, array) for number, (piece, array, _) in shards.items()})
    data = {number: piece for number, (piece, _, _) in shards.items()}
    inside = {number: piece for number, (_, _, piece) in shards.items() if piece is not None}
    found, rule = _find_pieces(folder, labels, named, data, inside)
    first = next(iter(shards.values()))[1]
    label_shape, label_dtype = _label_make(found, reader if labels == "inputs" else None)
    facts = [("shards", f"{numbered.rule}"), ("labels from", rule)]
    if others := [name for name in numbered.left_out if Path(name).stem != "labels"]:
        facts.append(("left out", list_some(others)))
    return Catalog(
        path=folder,
        shards=tuple(Shard(number, piece, found.get(number)) for number, piece in data.items()),
        sample_shape=tuple(first.shape[1:]),
        dtype=np.dtype(first.dtype),
        label_shape=label_shape,
        label_dtype=label_dtype,
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
    near = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
    hint = suggest(path.name, near) if near else f"There is no {str(parent)!r} either."
    raise MissingPathError(f"Expected `path` to exist, but got {str(path)!r}. {hint}")


def _named_source(labels: Labels) -> LabelSource | None:
    if labels is None or labels in ("auto", "inputs"):
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
) -> tuple[Piece, Reader, Piece | None]:
    """Open one shard: where its rows are, their array, and where labels inside it are."""
    try:
        data_key, label_key = (None, None) if reader else _keys(path)
        array = open_array(path, data_key, reader=reader)
        num_rows = count_rows(array, path)
        inside = None
        if label_key is not None and labels == "auto":
            inside = Piece(path, count_rows(open_array(path, label_key), path), label_key)
    except ShardError as error:
        error.set_number = number
        raise
    return Piece(path, num_rows, data_key), array, inside


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


def _check_alike(shards: Mapping[int, tuple[Piece, Reader]]) -> None:
    """Make sure that rows of all sets have one shape and one dtype."""
    first_number, (first_piece, first) = next(iter(shards.items()))
    expected = (tuple(first.shape[1:]), np.dtype(first.dtype))
    for number, (piece, array) in shards.items():
        if piece.num_rows == 0:
            raise ShardError("Expected at least one row.", path=piece.path, set_number=number)
        got = (tuple(array.shape[1:]), np.dtype(array.dtype))
        if got != expected:
            raise ShardError(
                "Expected rows of one shape and dtype in all sets, but they differ.\n"
                f"set {first_number}: {expected[1]} {expected[0]} in {first_piece.path}\n"
                f"set {number}: {got[1]} {got[0]} in {piece.path}"
            )


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


def _label_make(
    pieces: Mapping[int, Piece], reader: _OpenFile | None
) -> tuple[tuple[int, ...] | None, np.dtype[Any] | None]:
    """Shape and dtype of one label, which must be the same in all sets."""
    makes: dict[tuple[tuple[int, ...], np.dtype[Any]], tuple[int, Path]] = {}
    for number, piece in pieces.items():
        array = open_array(piece.path, piece.key, reader=reader)
        trailing = tuple(array.shape[2 if piece.by_set else 1 :])
        makes.setdefault((trailing, np.dtype(array.dtype)), (number, piece.path))
    if len(makes) > 1:
        listing = "\n".join(
            f"set {number}: {dtype} {shape} in {path}"
            for (shape, dtype), (number, path) in makes.items()
        )
        raise ShardError(f"Expected labels of one shape and dtype, but they differ.\n{listing}")
    return next(iter(makes), (None, None))

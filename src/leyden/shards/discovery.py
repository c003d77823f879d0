"""AutoData: from a folder of numbered files to a catalogue of its sets."""

import gc
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from leyden.errors import ConfigError, MissingPathError, ShardError
from leyden.shards.catalog import Catalog, Shard
from leyden.shards.dataset_file import Cut, FoundSets, LeadingAxis
from leyden.shards.fields import Fields, Inputs, describe_fields, find_places, name_inputs
from leyden.shards.formats import OpenFile, load_reader
from leyden.shards.headers import Headers, is_memory, memory_of
from leyden.shards.labels import LabelSource, check_labels, find_labels, locate_labels
from leyden.shards.manifest import find_manifest, refuse_lost
from leyden.shards.numbering import list_some
from leyden.shards.pieces import Piece
from leyden.shards.readers import TEXT
from leyden.shards.search import Search, existing

__all__ = ["Labels", "discover"]

Labels: TypeAlias = Literal["auto", "inputs"] | str | os.PathLike[str] | None
"""How to find labels: by the rules, the inputs themselves, a path, or none."""


@contextmanager
def _without_collections() -> Iterator[None]:
    """Have no garbage looked for meanwhile, among thousands of new objects that all stay.

    Beside all objects that torch has made, that would take longer than the work itself.
    """
    is_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_on:
            gc.enable()


@_without_collections()
def discover(
    path: str | os.PathLike[str],
    *,
    labels: Labels = "auto",
    inputs: Inputs = None,
    pattern: str | None = None,
    reader: OpenFile | str | None = None,
    rows_per_set: int = 32,
    leading_axis: LeadingAxis = "rows",
) -> Catalog:
    """Infer sets, shapes and labels from a folder of files ``<base><integer><extension>``.

    Headers are read, rows are not, but for labels that are words: these become classes in
    alphabetical order. Labels are looked for, in this order, in the shards themselves
    (an array or column ``y``, ``label``, ``labels``, ``target`` or ``targets``), in ``labels.*``
    and ``labels/`` in the folder, and in ``<folder>_labels.*`` and ``<folder>_labels/`` beside it.

    A single file is a dataset: with an array for each set, called by its number, or with one array
    or table of rows, which is cut into sets that are numbered from 1. Labels are looked for in the
    table itself, in ``<stem>_labels.*`` and in ``labels.*`` beside the file.

    Several inputs of one row are named with ``inputs``, and ``Catalog.fields`` has each. If any of
    the names is that of a folder or file in ``path``, then all are: each of these is discovered by
    the rules above, and all must have the same sets, with as many rows. Else they are arrays of
    each shard, or columns of a table: a list of columns makes a row of float64, a column by itself
    a number of its own type. What is named is no label; labels are looked for in the shards as
    above, then by the rules for ``path``, and then by those for each of the folders or files.

    Where reading the headers takes long, what they say is remembered in a hidden file in the
    folder, and used for as long as sizes and times of the files stay what they are.

    Args:
        path: The folder, or the file.
        labels: ``"auto"`` for the search above; a path; ``"inputs"`` to predict the inputs
            themselves; ``None`` for no labels.
        inputs: Names of the inputs, ``["image", "meta"]``; or a mapping from names in a batch,
            ``{"image": "img", "meta": ["age", "weight"]}`` or ``{"image": "images/"}``; ``None``
            for the only array, which then needs no name.
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
        DataError: If a folder was packed and its manifest is damaged.
        DiscoveryError: If it is not plain which files are shards, or labels and rows disagree.
        FormatError: If ``path`` is a file of an unknown format.
        MissingExtraError: If a format needs a package that is not installed.
        ShardError: If a file is broken, its rows are unlike those of the others, or files are
            missing that were packed.
    """
    place, fields = existing(path, "path"), name_inputs(inputs)
    named, headers = _named_source(labels, fields), Headers(memory_of(place))
    search = Search(
        headers,
        pattern=pattern,
        reader=None if reader is None else load_reader(reader),
        cut=Cut(rows_per_set, leading_axis),
        skip=(named.path,) if named else (),
        with_labels=labels == "auto",
    )
    places = find_places(place, fields)
    sets = search.find_each(place, places) if places else search.find(place, fields)
    found, rule = _find_pieces(place, places.values(), labels, named, sets, headers)
    headers.save()
    for what, pieces in zip(map(repr, fields) if fields else ["rows"], sets.inputs, strict=True):
        _check_alike(what, pieces, by_key=_in_many_files(pieces))
    _check_alike("labels", found, by_key=False)
    facts = [("shards", sets.rule), ("labels from", rule)]
    if fields:
        facts.insert(1, ("inputs from", describe_fields(fields)))
    used = [*places.values(), *(piece.path for piece in found.values())]
    if others := _list_others(place, sets.left_out, used):
        facts.append(("left out", list_some(others)))
    first, *_ = catalogs = [_catalog(place, pieces, search.reader) for pieces in sets.inputs]
    first_label = next(iter(found.values()), None)
    return replace(
        first,
        shards=tuple(replace(s, labels=found.get(s.set_number)) for s in first.shards),
        label_shape=first_label.row_shape if first_label else None,
        label_dtype=first_label.dtype if first_label else None,
        facts=tuple(facts),
        fields=dict(zip(fields, catalogs, strict=False)),
    ).with_classes()


def _catalog(path: Path, pieces: Mapping[int, Piece], reader: OpenFile | None) -> Catalog:
    """Make the catalogue of one array, without labels."""
    first = next(iter(pieces.values()))
    return Catalog(
        path=path,
        shards=tuple(Shard(number, piece) for number, piece in pieces.items()),
        sample_shape=first.row_shape,
        dtype=np.dtype(first.dtype),
        reader=reader,
    )


def _named_source(labels: object, fields: Fields) -> LabelSource | None:
    if isinstance(labels, str) and labels == "inputs" and len(fields) > 1:
        problem = f"Expected one of `inputs` for labels='inputs', but got {list(fields)}"
        raise ConfigError(f"{problem}. Name one, or pass other `labels`.")
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


def _check_alike(what: str, pieces: Mapping[int, Piece], *, by_key: bool) -> None:
    """Make sure that rows of all sets have one shape, one dtype and, if asked, the same columns."""
    makes: dict[tuple[object, ...], str] = {}
    for number, piece in pieces.items():
        key = piece.key if by_key else None
        make = piece.row_shape, piece.dtype, key
        if make not in makes:
            columns = "" if key is None else f" {list_some([key] if isinstance(key, str) else key)}"
            kind = "words" if piece.dtype == TEXT else piece.dtype
            found = f"{kind} {piece.row_shape}{columns}"
            makes[make] = f"set {number}: {found} in {piece.path}"
    if len(makes) > 1:
        problem = f"Expected {what} of one shape and dtype in all sets, but they differ."
        raise ShardError("\n".join([problem, *makes.values()]))


def _in_many_files(pieces: Mapping[int, Piece]) -> bool:
    """Say whether each set has a file of its own; arrays of one file differ in their names."""
    paths = [piece.path for piece in pieces.values()]
    return paths[0] != paths[-1]


def _find_pieces(
    path: Path,
    places: Collection[Path],
    labels: Labels,
    named: LabelSource | None,
    sets: FoundSets,
    headers: Headers,
) -> tuple[dict[int, Piece], str]:
    """Apply the rules for labels: where each set's are, and by which rule."""
    if labels is None:
        return {}, "nowhere, as asked"
    if labels == "inputs":
        return sets.data, "the inputs themselves, as asked"
    if named is None and sets.inside:
        source = LabelSource(path, "the shards themselves" if path.is_dir() else "the same file")
        return check_labels(source, sets.inside, sets.lengths), f"{source.rule}"
    source_found = named or _search_labels(path, places)
    if source_found is None:
        packed = find_manifest(path)
        refuse_lost(path, [name for name in packed.files if "/" in name] if packed else ())
        return {}, "nowhere: none found"
    by_set = any(piece.by_set for piece in sets.data.values())
    pieces = locate_labels(source_found, sets.lengths, headers, by_set=by_set)
    return pieces, source_found.rule


def _search_labels(path: Path, places: Collection[Path]) -> LabelSource | None:
    """Look for labels beside a folder or file, then beside those of its inputs."""
    found = (find_labels(place) for place in (path, *places))
    return next((source for source in found if source and source.path not in places), None)


def _list_others(place: Path, names: Iterable[str], used: Iterable[Path]) -> list[str]:
    """List the files, or arrays of the file, that hold neither rows nor labels."""
    paths = {path.resolve() for path in set(used)}
    return [
        name
        for name in names
        if not is_memory(name) and (place.is_file() or (place / name).resolve() not in paths)
    ]

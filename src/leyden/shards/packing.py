"""From arrays, images, tables and datasets to numbered shards on disk."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from leyden.errors import ConfigError, DataError
from leyden.files import placing, refuse_input
from leyden.shards.catalog import Catalog
from leyden.shards.discovery import discover
from leyden.shards.journal import Journal, journaling, refuse_other_recipe, staging_of
from leyden.shards.manifest import find_manifest, refuse_lost
from leyden.shards.search import as_path
from leyden.shards.sources import Block, Shuffled, Source, choose_source
from leyden.shards.write import check_base
from leyden.types import Array

__all__ = ["Packable", "Progress", "pack"]

Packable: TypeAlias = (
    Array | Tensor | str | os.PathLike[str] | Source | Dataset[Any] | Iterable[object]
)
"""What can be packed: an array, a path, a source with arguments of its own, or a dataset."""

Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with the rows that are written and, where that is known, the rows that there are."""


def pack(
    source: Packable,
    path: str | os.PathLike[str],
    *,
    rows_per_shard: int = 128,
    labels: Array | Tensor | Iterable[object] | str | os.PathLike[str] | None = None,
    base: str = "sample__",
    oversample_last: bool = False,
    shuffle_seed: int | None = None,
    progress: Progress | None = None,
) -> Catalog:
    """Write data as a folder of numbered shards, with a manifest of what it was made from.

    The folder is there when all of it is written, and not before. Whatever interrupts the packing,
    SIGKILL or a full disk, the same call goes on with the next shard; once all is done it returns
    at once. No more than a few shards are in memory at a time.

    Whole shards are held out for validation: where rows are sorted by class, as tables often are,
    pass a ``shuffle_seed``. Images are spread evenly as it is.

    Args:
        source: An array or a tensor ``(rows, ...)``; the path of a folder with a folder of images
            for each class, of a table ``.csv``, ``.tsv`` or ``.parquet``, or of an array ``.npy``;
            ``ImageFolder`` or ``Table`` for either with more arguments; or a dataset whose items
            are ``x`` or ``(x, y)``, with an index or a stream.
        path: The folder to make; it may exist if it is empty.
        rows_per_shard: Rows in each shard but the last, which may be shorter.
        labels: Of an array, ``(rows, ...)``, or the path of such; texts become classes.
        base: What the file names begin with, before the set number.
        oversample_last: Whether a short last shard is filled up with rows that are drawn from all.
        shuffle_seed: Draws the order of the rows; ``None`` keeps that of the source. What can be
            read in its own order only, a table or a stream, is then read into memory.
        progress: Told how far it is: at the beginning, and after every shard.

    Returns:
        The catalogue of the folder. It has ``<base><number>.npy`` from number 1, the same in
        ``labels/`` if there are labels, and ``manifest.json``.

    Raises:
        ConfigError: If an argument is wrong, or does not fit the source.
        MissingPathError: If the source does not exist.
        FormatError: If the source is a file of an unknown format.
        WriteError: If there can be no such folder, or it is in the one that is packed.
        DataError: If the source cannot be packed, the folder has other content or has lost some,
            or the disk is full.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> inputs, classes = np.zeros((10, 3), np.float32), np.arange(10) % 2
        >>> with TemporaryDirectory() as place:
        ...     catalog = pack(inputs, f"{place}/points", labels=classes, rows_per_shard=4)
        >>> catalog.lengths
        {1: 4, 2: 4, 3: 2}
    """
    _check(rows_per_shard, base)
    folder = as_path(path, "path")
    chosen = choose_source(source, labels)
    chosen = chosen if shuffle_seed is None else Shuffled(chosen, shuffle_seed)
    recipe = _recipe(
        source=chosen.describe(),
        rows_per_shard=rows_per_shard,
        base=base,
        oversample_last=bool(oversample_last),
    )
    with placing(folder):
        target = folder.resolve()
        is_done = _is_packed(target, recipe)
    if not is_done:
        refuse_input(target, *_paths_of(source))
        with journaling(target, recipe) as journal:
            if not _is_packed(target, recipe):  # another process may have been first
                _fill(journal, chosen, recipe, progress or _ignore)
    shutil.rmtree(staging_of(target), ignore_errors=True)  # if only that was missing
    return discover(folder, labels="auto" if (target / "labels").is_dir() else None)


def _paths_of(source: object) -> list[Path]:
    """Where a source is read from, if it is a path, or images or a table there."""
    path = getattr(source, "path", None) if isinstance(source, Source) else source
    return [Path(path)] if isinstance(path, str | os.PathLike) else []


def _check(rows_per_shard: int, base: str) -> None:
    if isinstance(rows_per_shard, bool) or not isinstance(rows_per_shard, int):
        problem = "Expected `rows_per_shard` to be a whole number"
        raise ConfigError(f"{problem}, but got {rows_per_shard!r}.")
    if rows_per_shard < 1:
        problem = "Expected `rows_per_shard` to be at least 1"
        raise ConfigError(f"{problem}, but got {rows_per_shard!r}.")
    check_base(base)


def _recipe(**arguments: Any) -> dict[str, Any]:
    """As it comes back from a file."""
    recipe: dict[str, Any] = json.loads(json.dumps(arguments))
    return recipe


def _ignore(_rows: int, _all: int | None) -> None:
    """Tell nobody."""


def _is_packed(target: Path, recipe: Mapping[str, Any]) -> bool:
    """Say whether there is nothing left to do.

    Raises:
        DataError: If something else is there, or some of it is missing.
    """
    if manifest := find_manifest(target):
        refuse_other_recipe(manifest.recipe, recipe, target)
        refuse_lost(target, [name for name in manifest.files if not (target / name).is_file()])
        return True
    if not os.path.lexists(target):
        return False
    if not target.is_dir() or any(target.iterdir()):
        problem = f"Expected `path` to be a new or an empty folder, but got {target}"
        raise DataError(f"{problem}, which has content without a manifest. Pass another folder.")
    if target.is_mount():
        problem = f"Expected `path` to be a folder that can be replaced, but {target} is a disk."
        raise DataError(f"{problem} Pass a folder in it.")
    if target.samefile("."):
        problem = f"Expected `path` to be a folder that can be replaced, but {target} is the"
        raise DataError(f"{problem} current one. Pass a folder in it, or change to another.")
    return False


def _fill(journal: Journal, source: Source, recipe: Mapping[str, Any], progress: Progress) -> None:
    """Write the shards that are not there yet."""
    size = recipe["rows_per_shard"]
    start = num_rows = journal.num_done * size
    progress(start, source.num_rows)
    if journal.num_done == 0:
        source.check()
    journal.begin()
    for block in _cut(source.blocks(start, size), size):
        num_rows += len(block)
        journal.add(_fill_up(block, journal, size) if recipe["oversample_last"] else block)
        progress(num_rows, source.num_rows)
    journal.finish(source)


def _cut(blocks: Iterable[Block], size: int) -> Iterator[Block]:
    """Cut blocks of any length into such of ``size`` rows; the last may be shorter."""
    held: list[Block] = []
    num_held = 0
    for block in blocks:
        begin = 0
        while begin < len(block):
            held.append(block.part(begin, begin + size - num_held))
            num_held += len(held[-1])
            begin += len(held[-1])
            if num_held == size:
                yield Block.join(held)
                held, num_held = [], 0
    if held:
        yield Block.join(held)


def _fill_up(block: Block, journal: Journal, size: int) -> Block:
    """Lengthen a short block with rows drawn from all that there are."""
    num_rows = journal.num_done * size + len(block)
    missing = size - len(block)
    numbers = np.random.default_rng(num_rows)  # the same rows whenever it is done
    drawn = numbers.choice(num_rows, missing, replace=missing > num_rows)
    rows = []
    for index, row in (divmod(int(place), size) for place in drawn):
        shard = block if index == journal.num_done else journal.read(index + 1)
        rows.append(shard.part(row, row + 1))
    return Block.join([block, *rows])

"""``leyden pack``: from images, a table or an array to a folder of numbered shards."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from leyden.cli.command import answered
from leyden.errors import ConfigError
from leyden.shards import Catalog, ImageFolder, Table, pack, read_manifest
from leyden.shards.sources import TABLE_EXTENSIONS

__all__ = ["run_pack"]

_SHOWN = 5  # names of classes in the summary
_ENOUGH = 10  # shards of which some can be held out


def run_pack(arguments: argparse.Namespace) -> int:
    """Pack as the command line says.

    Args:
        arguments: What ``add_pack`` made of it.

    Returns:
        The exit code: 0, 2 for a user's slip, 130 after Ctrl-C.
    """
    return answered(lambda: _pack_and_tell(arguments))


def _pack_and_tell(arguments: argparse.Namespace) -> None:
    try:
        catalog = _pack(arguments)
    except KeyboardInterrupt:
        print("Interrupted. Run the same command again to go on.", file=sys.stderr)
        raise
    print(_summary(catalog))
    if len(catalog.shards) < _ENOUGH <= catalog.num_samples:
        rows = catalog.num_samples // _ENOUGH
        print(
            f"Whole shards are held out, so {_ENOUGH} at least are better: "
            f"--rows-per-shard {rows}, and another DIR.",
            file=sys.stderr,
        )


def _pack(arguments: argparse.Namespace) -> Catalog:
    console = Console(stderr=True)
    columns = (
        TextColumn("packing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("packing", total=None)
        return pack(
            _source(arguments),
            arguments.folder,
            rows_per_shard=arguments.rows_per_shard,
            labels=arguments.labels,
            base=arguments.base,
            oversample_last=arguments.oversample_last,
            shuffle_seed=arguments.shuffle_seed,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )


def _source(arguments: argparse.Namespace) -> Path | ImageFolder | Table:
    """Give the source the arguments that it alone has, and refuse those of others."""
    source: Path = arguments.source
    if source.suffix.lower() != ".npy":
        is_table = source.suffix.lower() in TABLE_EXTENSIONS and not source.is_dir()
        remedy = "Name the column of labels instead: --label-column NAME." if is_table else None
        _refuse(arguments, "labels", needs="an array (.npy)", remedy=remedy)
    is_table = arguments.label_column is not None or arguments.drop is not None
    if is_table and not source.is_dir():
        _refuse(arguments, "size", "color", needs="a folder of images")
        return Table(source, arguments.label_column, arguments.drop or ())
    if source.is_dir():
        _refuse(arguments, "label_column", "drop", needs="a table")
        return ImageFolder(source, arguments.size, arguments.color or "rgb")
    _refuse(arguments, "size", "color", needs="a folder of images")
    return source


def _refuse(
    arguments: argparse.Namespace, *names: str, needs: str, remedy: str | None = None
) -> None:
    for name in names:
        if getattr(arguments, name) is not None:
            option = f"--{name.replace('_', '-')}"
            problem = f"Expected {needs} for {option}, but got {str(arguments.source)!r}."
            raise ConfigError(f"{problem} {remedy or f'Leave {option} out.'}")


def _summary(catalog: Catalog) -> str:
    names = read_manifest(catalog.path).class_names
    make = f"{catalog.dtype} {catalog.sample_shape}"
    labels = f"labels {catalog.label_dtype}" if catalog.has_labels else "no labels"
    if names is not None:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        labels = f"{len(names)} classes: {', '.join(names[:_SHOWN])}{more}"
    count = f"{catalog.num_samples:,} rows in {len(catalog.shards):,} shards"
    return f"{catalog.path}: {count}, {make}, {labels}"

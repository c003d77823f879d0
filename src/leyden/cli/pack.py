"""``leyden pack``: from images, a table or an array to a folder of numbered shards."""

import argparse
import re
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from leyden.cli.command import Commands, add_command
from leyden.errors import ConfigError, LeydenError
from leyden.shards import Catalog, ImageFolder, Table, pack, read_manifest

__all__ = ["add_pack"]

_DESCRIPTION = """Write images, a table or an array as a folder of numbered shards, which
`leyden train data.path=DIR` trains on. It is written whole or not at all; if it
is interrupted, the same command goes on where it stopped."""

_EPILOG = """sources:
  a folder with a folder of images for each class: uint8 (channels, height, width)
  a .csv, .tsv or .parquet table: a row of numbers, and a column of labels
  a .npy array: its rows, with --labels the rows of another

examples:
  leyden pack photos shards --size 64x64
  leyden pack iris.csv shards --label-column species --rows-per-shard 30 --shuffle-seed 0
  leyden inspect shards --verify          is it still what was packed?
"""
_SHOWN = 5  # names of classes in the summary
_ENOUGH = 10  # shards of which some can be held out


def add_pack(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "pack",
        run_pack,
        summary="write images, a table or an array as shards",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        exit_codes={
            0: "the folder is whole",
            2: "it cannot be packed; the line says why",
            130: "Ctrl-C; the same command goes on",
        },
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="what to pack; see below")
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder to make")
    add = parser.add_argument
    add(
        "--rows-per-shard",
        type=int,
        default=128,
        metavar="N",
        help="rows in each shard (128); whole shards are held out for validation, so have many",
    )
    add("--label-column", metavar="NAME", help="column of the labels (y, label or target)")
    add("--labels", type=Path, metavar="FILE", help="a .npy array with the labels of an array")
    add("--size", type=_size, metavar="HxW", help="scale images to this height and width, pixels")
    add("--color", choices=["rgb", "grayscale"], help="channels of images: 3 (rgb) or 1")
    add("--base", default="sample__", metavar="B", help="beginning of the file names (sample__)")
    add(
        "--oversample-last",
        action="store_true",
        help="fill a short last shard up with rows drawn from all, instead of keeping it short",
    )
    add(
        "--shuffle-seed",
        type=int,
        metavar="N",
        help="draw the order of the rows, where they are sorted by class; images need it not",
    )


def run_pack(arguments: argparse.Namespace) -> int:
    """Pack as the command line says.

    Args:
        arguments: What ``add_pack`` made of it.

    Returns:
        The exit code: 0, 2 for a user's slip, 130 after Ctrl-C.
    """
    try:
        catalog = _pack(arguments)
    except KeyboardInterrupt:
        print("Interrupted. Run the same command again to go on.", file=sys.stderr)
        return 128 + signal.SIGINT
    except (LeydenError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(_summary(catalog))
    if len(catalog.shards) < _ENOUGH <= catalog.num_samples:
        rows = catalog.num_samples // _ENOUGH
        print(
            f"Whole shards are held out, so {_ENOUGH} at least are better: "
            f"--rows-per-shard {rows}, and another DIR.",
            file=sys.stderr,
        )
    return 0


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
    if arguments.label_column is not None and not source.is_dir():
        _refuse(arguments, "size", "color", needs="a folder of images")
        return Table(source, arguments.label_column)
    if source.is_dir():
        _refuse(arguments, "label_column", needs="a table")
        return ImageFolder(source, arguments.size, arguments.color or "rgb")
    _refuse(arguments, "size", "color", needs="a folder of images")
    return source


def _refuse(arguments: argparse.Namespace, *names: str, needs: str) -> None:
    for name in names:
        if getattr(arguments, name) is not None:
            option = f"--{name.replace('_', '-')}"
            problem = f"Expected {needs} for {option}, but got {str(arguments.source)!r}."
            raise ConfigError(f"{problem} Leave {option} out.")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        problem = f"Expected height and width such as 64x48, but got {text!r}."
        raise argparse.ArgumentTypeError(problem)
    return int(match[1]), int(match[2])


def _summary(catalog: Catalog) -> str:
    names = read_manifest(catalog.path).class_names
    make = f"{catalog.dtype} {catalog.sample_shape}"
    labels = f"labels {catalog.label_dtype}" if catalog.has_labels else "no labels"
    if names is not None:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        labels = f"{len(names)} classes: {', '.join(names[:_SHOWN])}{more}"
    count = f"{catalog.num_samples:,} rows in {len(catalog.shards):,} shards"
    return f"{catalog.path}: {count}, {make}, {labels}"

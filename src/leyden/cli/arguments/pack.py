"""What ``leyden pack`` takes."""

import argparse
import re
from pathlib import Path

from leyden.cli.command import Commands, add_command

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
  leyden pack patients.csv shards --label-column ill --drop id admitted
  leyden inspect shards --verify          is it still what was packed?
"""


def add_pack(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "pack",
        "leyden.cli.pack:run_pack",
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
    add(
        "--drop",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="columns of a table to leave out, such as a number or a date",
    )
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


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        problem = f"Expected height and width such as 64x48, but got {text!r}"  # argparse ends it
        raise argparse.ArgumentTypeError(problem)
    return int(match[1]), int(match[2])

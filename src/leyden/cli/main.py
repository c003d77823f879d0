"""``leyden``: the command and its sub-commands."""

import argparse
import sys
from pathlib import Path

from leyden import __version__
from leyden.cli.train import main as train
from leyden.data import AutoDataModule
from leyden.errors import LeydenError

__all__ = ["main"]

_EPILOG = """examples:
  leyden inspect data/digits              what is in this folder?
  leyden train model=cnn data=auto        train on scikit-learn's handwritten digits
  leyden train data.path=DIR -m seed=1,2  train twice on a folder of numbered shards
"""


def main() -> None:
    """Run a sub-command, and end the process with its exit code."""
    parser = argparse.ArgumentParser(
        prog="leyden",
        description="Train few models thoroughly, on lightning.Trainer's own loop.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"leyden {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    inspect = commands.add_parser("inspect", help="show what is inferred from a folder of shards")
    inspect.add_argument("folder", type=Path, metavar="DIR")
    commands.add_parser("train", help="train as a configuration says", add_help=False)
    arguments, rest = parser.parse_known_args()
    if arguments.command == "train":
        sys.path.insert(0, str(Path.cwd()))  # so that a `type` can name the user's own modules
        sys.exit(train(rest))
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    sys.exit(_inspect(arguments.folder))


def _inspect(folder: Path) -> int:
    try:
        print(AutoDataModule(folder).describe())
    except LeydenError as error:
        print(error, file=sys.stderr)
        return 2
    return 0

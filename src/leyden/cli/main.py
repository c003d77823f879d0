"""``leyden``: the command and its sub-commands."""

import argparse
import sys
from pathlib import Path

from leyden import __version__
from leyden.cli.calibrate import add_calibrate
from leyden.cli.command import add_command
from leyden.cli.pack import add_pack
from leyden.cli.replay import add_replay
from leyden.cli.report import add_report
from leyden.cli.resume import add_resume
from leyden.cli.runs import add_runs
from leyden.cli.train import main as train
from leyden.cli.verify_resume import add_verify_resume
from leyden.data import AutoDataModule
from leyden.errors import LeydenError
from leyden.shards import verify_pack

__all__ = ["main"]

_EPILOG = """examples:
  leyden pack photos shards --size 64x64  write folders of images as numbered shards
  leyden inspect data/digits              what is in this folder?
  leyden train model=cnn data=auto        train on scikit-learn's handwritten digits
  leyden train data.path=DIR -m seed=1,2  train twice on a folder of numbered shards
  leyden runs --sort test/loss            which runs are there, and how did they go?
  leyden resume RUN                       go on with a run that was interrupted
  leyden replay RUN --step 370            make a step again, and see where it breaks
  leyden calibrate RUN --metric f1        find the best threshold of a classifier
  leyden report RUN                       write a run as one page, with zoomable curves
  leyden verify-resume -- python fit.py   prove that a training can be interrupted anywhere
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
    summary = "show what is inferred from a folder of shards"
    inspect = add_command(commands, "inspect", _inspect, summary=summary)
    inspect.add_argument("folder", type=Path, metavar="DIR")
    inspect.add_argument(
        "--verify", action="store_true", help="compare all files with the manifest of `leyden pack`"
    )
    inspect.add_argument(
        "--inputs",
        nargs="+",
        metavar="NAME",
        help="several arrays of inputs in each shard: their names, or NAME=ARRAY",
    )
    for add in (
        add_calibrate,
        add_pack,
        add_replay,
        add_report,
        add_resume,
        add_runs,
        add_verify_resume,
    ):
        add(commands)
    commands.add_parser("train", help="train as a configuration says", add_help=False)
    arguments, rest = parser.parse_known_args()
    sys.path.insert(0, str(Path.cwd()))  # so that a `type` can name the user's own modules
    if arguments.command == "train":
        sys.exit(train(rest))
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    sys.exit(arguments.run_command(arguments))


def _inspect(arguments: argparse.Namespace) -> int:
    folder, inputs, verify = arguments.folder, arguments.inputs, arguments.verify
    try:
        packed = _packed_folders(folder) if verify else []
        for part in packed:
            verify_pack(part)
        named = {name: array or name for name, _, array in (i.partition("=") for i in inputs or ())}
        print(AutoDataModule(folder, inputs=named or None).describe())
        for part in packed:
            print(f"verified: {part} is as it was packed")
    except LeydenError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _packed_folders(folder: Path) -> list[Path]:
    """The folder itself, or those of its phases that have a manifest where it has none."""
    if (folder / "manifest.json").is_file():
        return [folder]
    return sorted(path.parent for path in folder.glob("*/manifest.json")) or [folder]

"""``leyden``: the command and its sub-commands."""

import argparse
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name

from leyden._version import __version__
from leyden.cli.arguments import (
    add_calibrate,
    add_compare,
    add_completion,
    add_evaluate,
    add_inspect,
    add_new,
    add_pack,
    add_predict,
    add_replay,
    add_report,
    add_resume,
    add_runs,
    add_verify_resume,
)
from leyden.cli.command import Commands, OneLineParser
from leyden.errors import suggest

__all__ = ["GROUPS", "main", "make_parser"]

GROUPS: Mapping[str, Sequence[str]] = {
    "begin": ("new", "train", "resume", "verify-resume"),
    "data": ("inspect", "pack"),
    "runs": ("runs", "report", "evaluate", "compare", "predict", "calibrate", "replay"),
    "shell": ("completion",),
}
"""Which commands are shown together."""

_EPILOG = """examples:
  leyden new heart-beats                  a project of your own, ready to train
  leyden pack photos shards --size 64x64  write folders of images as numbered shards
  leyden inspect data/digits              what is in this folder?
  leyden train model=cnn data=auto        train on scikit-learn's handwritten digits
  leyden train data.path=DIR -m seed=1,2  train twice on a folder of numbered shards
  leyden runs --sort test/loss            which runs are there, and how did they go?
  leyden resume RUN                       go on with a run that was interrupted
  leyden evaluate RUN                     store and judge what its model gives for the test part
  leyden compare RUN OTHER                which rows got better, and which worse?
  leyden predict RUN rows.csv -o out.csv  what does its model say of new rows?
  leyden replay RUN --step 370            make a step again, and see where it breaks
  leyden calibrate RUN --metric f1        find the best threshold of a classifier
  leyden report RUN                       write a run as one page, with zoomable curves
  leyden verify-resume -- python fit.py   prove that a training can be interrupted anywhere

exit codes:
  0         done
  1         a bug, with a traceback; or what was asked for is not so, as each command says
  2         a slip of yours, which is told in one line
  130, 143  Ctrl-C, SIGTERM

`leyden COMMAND --help` explains a command and shows examples.
"""
_ADDING = (
    add_completion,
    add_inspect,
    add_new,
    add_pack,
    add_evaluate,
    add_compare,
    add_predict,
    add_calibrate,
    add_replay,
    add_report,
    add_resume,
    add_runs,
    add_verify_resume,
)


def main() -> None:
    """Run a sub-command, and end the process with its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no text
    parser, commands = make_parser()
    word = next(iter(sys.argv[1:]), "-")
    if not word.startswith("-") and word not in commands.choices:
        known = suggest(word, commands.choices)
        parser.error(f"expected a command, but got {word!r}. {known[:-1]}")
    arguments, rest = parser.parse_known_args()
    if rest and arguments.command != "train":
        _refuse(commands.choices[arguments.command], rest[0])
    run = resolve_name(arguments.run_command)
    sys.path.insert(0, str(Path.cwd()))  # so that a `type` can name the user's own modules
    sys.exit(run(rest if arguments.command == "train" else arguments))


def make_parser() -> tuple[argparse.ArgumentParser, Commands]:
    """Make what reads the command line.

    Returns:
        It, and the sub-commands in it.
    """
    parser: argparse.ArgumentParser = OneLineParser(
        prog="leyden",
        usage="leyden [-h] [--version] COMMAND ...",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"leyden {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, prog="leyden", metavar="COMMAND", help=argparse.SUPPRESS
    )
    for add in _ADDING:
        add(commands)
    training = commands.add_parser("train", add_help=False)  # Hydra has a help of its own
    training.set_defaults(
        summary="train as a configuration says, or sweep with -m",
        run_command="leyden.cli.train:main",
    )
    parser.description = "\n".join(
        ["Train few models thoroughly, on lightning.Trainer's own loop.", *_overview(commands)]
    )
    return parser, commands


def _overview(commands: Commands) -> Iterator[str]:
    """List the commands, those together that belong together."""
    width = max(map(len, commands.choices)) + 2
    for title, names in GROUPS.items():
        yield f"\n{title}:"
        for name in names:
            if name in commands.choices:
                yield f"  {name:<{width}}{commands.choices[name].get_default('summary')}"


def _refuse(parser: argparse.ArgumentParser, word: str) -> None:
    """Say that a command has no such option, and which was probably meant."""
    option = word.partition("=")[0]
    if not option.startswith("-"):
        parser.error(f"expected no more arguments, but got {word!r}")
    known = [name for action in parser._actions for name in action.option_strings]  # noqa: SLF001 - there is no other way to list them
    parser.error(f"expected an option, but got {option!r}. {suggest(option, known)[:-1]}")

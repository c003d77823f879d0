"""``leyden calibrate``: the best threshold of a trained model, and the sets it is best on."""

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from leyden.cli.calibrating import Found, Wishes, calibrate_run
from leyden.cli.command import Commands, add_command
from leyden.cli.facts import print_facts
from leyden.cli.train import prepare_process
from leyden.config import conf_dir, explain

__all__ = ["add_calibrate"]

_DESCRIPTION = """Find the decision threshold at which a metric is best on the validation data of a
run, and the sets that its model is best on, from predictions that the run has stored; if it has
none of its best checkpoint, they are made and stored first. What is found is kept in the run's
calibration.json and calibration.png. With --apply, the best checkpoint gets the threshold, and
whatever predicts from it uses it."""

_EPILOG = """examples:
  leyden calibrate runs/2026-11-21/09-06-10-M1__cnn                      threshold of the best F1
  leyden calibrate runs/2026-11-21/09-06-10-M1__cnn --metric informedness --bounds 0.2 0.8 --apply
  leyden calibrate runs/2026-11-21/09-06-10-M1__cnn --metric auroc --subset-size 5
  leyden calibrate runs/2026-11-21/09-06-10-M1__cnn --metric loss --subset-size 5   from the ledger
"""


def add_calibrate(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "calibrate",
        run_calibrate,
        summary="find the best threshold of a run, and the sets it is best on",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    parser.add_argument("--metric", default="f1", help="name or import path; f1 by default")
    parser.add_argument(
        "--bounds",
        nargs=2,
        type=float,
        default=(0.0, 1.0),
        metavar=("LOW", "HIGH"),
        help="lowest and highest threshold tried; 0 and 1 by default",
    )
    parser.add_argument("--steps", type=int, default=100, metavar="N", help="from LOW to HIGH; 100")
    parser.add_argument(
        "--prefer", type=float, default=0.5, metavar="T", help="favoured among equals; 0.5"
    )
    parser.add_argument(
        "--better", choices=("higher", "lower"), help="which way is, where the metric is not to say"
    )
    parser.add_argument("--subset-size", type=int, metavar="N", help="how many sets are chosen")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="instead of the best one")
    parser.add_argument(
        "--records", type=Path, metavar="FILE", help="predictions, instead of those in the run"
    )
    for column in ("score", "target", "set-number"):
        parser.add_argument(f"--{column}", metavar="COLUMN", help="its name in the records")
    parser.add_argument(
        "--apply", action="store_true", help="have the checkpoint decide by the threshold"
    )


def run_calibrate(arguments: argparse.Namespace) -> int:
    """Calibrate as the command line says, and show what was found.

    Args:
        arguments: What ``add_calibrate`` made of it.

    Returns:
        The exit code: 0, or 2 for a user's slip.
    """
    prepare_process()
    columns = {name: getattr(arguments, name) for name in ("score", "target", "set_number")}
    wishes = Wishes(
        metric=arguments.metric,
        steps=arguments.steps,
        bounds=tuple(arguments.bounds),
        prefer=arguments.prefer,
        higher_is_better={None: None, "higher": True, "lower": False}[arguments.better],
        subset_size=arguments.subset_size,
        checkpoint=arguments.checkpoint,
        records=arguments.records,
        columns=columns,
        apply=arguments.apply,
    )
    try:
        found = calibrate_run(arguments.run, wishes)
    except Exception as error:
        line = explain(error, conf_dir(), "train")
        if line is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(line, file=sys.stderr)
        return 2
    _show(found)
    return 0


def _show(found: Found) -> None:
    table = Table("", "threshold", found.metric, "samples")
    for column in table.columns[1:]:
        column.justify = "right"
    if found.before is not None:
        table.add_row("now", *_numbers(found.before.value, found.before.metric), "")
    if found.threshold is not None:
        numbers = _numbers(found.threshold.value, found.threshold.metric)
        table.add_row("best", *numbers, str(found.num_samples))
    if found.subset is not None:
        sets = ", ".join(map(str, found.subset.sets))
        table.add_row(f"sets {sets}", *_numbers(found.subset.threshold, found.subset.metric), "")
    Console(highlight=False).print(table)
    print_facts(found.places.items())


def _numbers(*values: float | None) -> list[str]:
    return ["" if value is None else format(value, ".5g") for value in values]

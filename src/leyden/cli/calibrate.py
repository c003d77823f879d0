"""``leyden calibrate``: the best threshold of a trained model, and the sets it is best on."""

import argparse
import os
import sys

from rich.console import Console
from rich.table import Table

from leyden.cli.calibrating import Found, Wishes, calibrate_run
from leyden.cli.facts import print_facts
from leyden.cli.train import prepare_process
from leyden.config import conf_dir, explain

__all__ = ["run_calibrate"]


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

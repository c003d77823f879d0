"""``leyden calibrate``: thresholds and sets found from what a run has stored, and kept in it."""

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from leyden.calibration import (
    Samples,
    Subset,
    Threshold,
    best_subset_from_history,
    calibrate,
    check_search,
    choose_goal,
    compute_metric,
    metric_at_thresholds,
    read_samples,
)
from leyden.calibration.thresholds import candidates
from leyden.cli.facts import print_facts
from leyden.cli.guard import guarded
from leyden.cli.paths import inside
from leyden.cli.report import renew_page
from leyden.cli.stored_predictions import (
    apply_threshold,
    find_best,
    find_records,
    threshold_of,
)
from leyden.cli.trained import check_run
from leyden.errors import ConfigError, DataError
from leyden.files import replacing
from leyden.report import draw_calibration, save_figure
from leyden.runs import RunDir
from leyden.tracking import read_ledger
from leyden.types import Phase

__all__ = ["run_calibrate"]

_VERSION = 1


@dataclass(slots=True)
class Found:
    """What was found, and where it is kept.

    Args:
        metric: What the metric is called.
        threshold: The best threshold; ``None`` if none was looked for.
        subset: The sets that the model is best on, if they were asked for.
        before: The threshold that the checkpoint has had, and the metric there, if it has one.
        num_samples: How many samples there were; of a history, batches.
        places: Where things are.
    """

    metric: str
    threshold: Threshold | None = None
    subset: Subset | None = None
    before: Threshold | None = None
    num_samples: int = 0
    places: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is looked for, and in what.

    Args:
        metric: See ``find_threshold``; or ``"loss"`` for sets by the losses of the last validation.
        steps: See ``find_threshold``.
        bounds: Likewise.
        prefer: Likewise.
        higher_is_better: Likewise.
        subset_size: How many sets are chosen; ``None`` for none.
        checkpoint: Whose predictions; the best one of the run if ``None``.
        records: Stored predictions; those in the run if ``None``.
        columns: Arguments of ``read_samples`` that name columns of the records.
        apply: Whether the checkpoint gets the threshold.
    """

    metric: str = "f1"
    steps: int = 100
    bounds: tuple[float, float] = (0.0, 1.0)
    prefer: float = 0.5
    higher_is_better: bool | None = None
    subset_size: int | None = None
    checkpoint: Path | None = None
    records: Path | None = None
    columns: Mapping[str, str | None] = field(default_factory=dict)
    apply: bool = False

    @property
    def search(self) -> dict[str, Any]:
        """Arguments of ``find_threshold`` and ``best_subset``."""
        better = self.higher_is_better
        return {"steps": self.steps, "bounds": self.bounds, "higher_is_better": better}


def run_calibrate(arguments: argparse.Namespace) -> int:
    """Calibrate as the command line says, and show what was found.

    Args:
        arguments: What ``add_calibrate`` made of it.

    Returns:
        The exit code: 0, or 2 for a user's slip.
    """
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
    return guarded(lambda: _show(calibrate_run(arguments.run, wishes)))


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


def calibrate_run(path: Path, wishes: Wishes) -> Found:
    """Find threshold and sets of a run, and keep them in ``calibration.json`` there.

    Args:
        path: The folder of the run.
        wishes: What is looked for.

    Raises:
        MissingPathError: If there is no such run, or nothing in it to go by.
        LeydenError: If a wish is wrong, or the predictions do not suit the metric.
    """
    run = check_run(path)
    found = _by_history(run, wishes) if wishes.metric == "loss" else _by_predictions(run, wishes)
    _keep(run, found)
    if page := renew_page(run):  # on which there may be one more evaluation
        found.places["report"] = page
    return found


def _by_predictions(run: RunDir, wishes: Wishes) -> Found:
    goal = choose_goal(wishes.metric, wishes.higher_is_better)
    if wishes.apply and not goal.decides:
        problem = "Expected `--metric` to compare decisions with `--apply`"
        raise ConfigError(f"{problem}, but {goal.name!r} takes scores. Pass such as 'f1'.")
    if goal.decides or wishes.subset_size is None:
        check_search(goal, wishes.steps, wishes.bounds)  # before anything is predicted
    chosen, size = find_best(run, wishes.checkpoint), wishes.subset_size
    source = wishes.records or find_records(run, chosen)
    samples = read_samples(source, **wishes.columns, with_sets=size is not None)
    result = calibrate(
        samples, wishes.metric, subset_size=size, prefer=wishes.prefer, **wishes.search
    )
    found = Found(goal.name, result.threshold, result.subset, num_samples=len(samples.scores))
    found.places["records"] = source
    if result.threshold is not None:
        found.before = _measure_before(chosen, samples, wishes.metric)
        _draw(run, found, samples, wishes)
        if wishes.apply:
            found.places["applied to"] = apply_threshold(chosen, result.threshold.value)
    return found


def _measure_before(checkpoint: Path | None, samples: Samples, metric: str) -> Threshold | None:
    before = None if checkpoint is None else threshold_of(checkpoint)
    if before is None:
        return None
    at = compute_metric(samples.scores, samples.targets, metric, threshold=before)
    return Threshold(before, at)


def _by_history(run: RunDir, wishes: Wishes) -> Found:
    """Choose sets by the losses that the ledger has of the last validation."""
    if wishes.apply or wishes.subset_size is None:
        raise ConfigError(
            "Expected `--subset-size`, and no `--apply`, with `--metric loss`: a loss has no "
            "threshold. Pass such as `--metric f1` to find one."
        )
    rows = [
        row
        for row in read_ledger(run.ledger_path).to_pylist()
        if row["phase"] == Phase.VAL and row["sets"] and row["loss"] is not None
    ]
    if not rows:
        raise DataError(
            f"Expected losses of validation batches in {str(run.ledger_path)!r}, but there are "
            "none. Have `validation_step` return the loss."
        )
    last = max((row["epoch"], row["step"]) for row in rows)
    losses = defaultdict[int, list[float]](list)
    of_last = [row for row in rows if (row["epoch"], row["step"]) == last]
    for row in of_last:
        for number in set(row["sets"]):
            losses[number].append(row["loss"])
    numbers = sorted(losses)
    values = np.array([np.mean(losses[number]) for number in numbers])
    subset = best_subset_from_history(
        values,
        wishes.subset_size,
        higher_is_better=bool(wishes.higher_is_better),
        set_numbers=numbers,
    )
    places = {"ledger": run.ledger_path}
    return Found("loss", subset=subset, num_samples=len(of_last), places=places)


def _draw(run: RunDir, found: Found, samples: Samples, wishes: Wishes) -> None:
    assert found.threshold is not None  # noqa: S101 - else there is nothing to draw
    thresholds = candidates(wishes.steps, wishes.bounds, inner=True)
    values = metric_at_thresholds(samples.scores, samples.targets, wishes.metric, thresholds)
    figure = draw_calibration(
        samples.scores,
        samples.targets,
        curve=(thresholds, values.numpy()),
        threshold=found.threshold.value,
        before=None if found.before is None else found.before.value,
        metric=found.metric,
    )
    save_figure(figure, run.calibration_figure_path)
    found.places["figure"] = run.calibration_figure_path


def _keep(run: RunDir, found: Found) -> None:
    parts = ("threshold", "subset", "before")
    facts = {
        "version": _VERSION,
        "time": time.time(),
        "metric": found.metric,
        "num_samples": found.num_samples,
        "is_applied": "applied to" in found.places,
        "places": {name: inside(run, path) for name, path in found.places.items()},
        **{name: _plain(getattr(found, name)) for name in parts},
    }
    with replacing(run.calibration_path) as temporary:
        text = json.dumps(facts, indent=2, allow_nan=False)
        temporary.write_text(f"{text}\n", encoding="utf-8")
    found.places["result"] = run.calibration_path


def _plain(part: Threshold | Subset | None) -> Mapping[str, Any] | None:
    """Make a dictionary, with ``None`` for numbers that JSON does not have."""
    if part is None:
        return None
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(part).items()
    }

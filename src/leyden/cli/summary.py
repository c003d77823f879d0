"""What a run came to, and how to go on with it, as it is told at its end."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leyden.cli.facts import print_facts
from leyden.cli.paths import short_path
from leyden.runs import RunDir, RunStatus, read_manifest
from leyden.types import Phase

__all__ = ["Outcome", "say_how_to_go_on", "summarize"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    Args:
        results: The last value of every metric; test metrics are those of the best checkpoint.
        objective: The best value of the monitored metric; ``None`` if there is none.
        best: The best checkpoint; empty if there is none.
    """

    results: dict[str, float]
    objective: float | None
    best: str


def say_how_to_go_on(run_dir: RunDir) -> None:
    """Print what to type after an interruption, if the run can be gone on with."""
    if not run_dir.manifest_path.exists():
        return
    if read_manifest(run_dir.manifest_path)["status"] == RunStatus.INTERRUPTED:
        path = shlex.quote(str(short_path(run_dir.path)))
        print(f"Interrupted. To go on: leyden resume {path}", file=sys.stderr)


def summarize(run_dir: RunDir, outcome: Outcome, seconds: float) -> None:
    """Print what came out, how long it took and where things are.

    Args:
        run_dir: The folder of the run.
        outcome: What came out.
        seconds: How long it took.
    """
    results = outcome.results
    lines = [
        (name, f"{results[name]:.4f}{'' if phase is Phase.TEST else ' (last epoch)'}")
        for phase in (Phase.TEST, Phase.VAL)
        for name in _main_metrics(results, phase)
    ]
    lines.append(("seconds", f"{seconds:.1f}"))
    places = {
        "run folder": run_dir.path,
        "best checkpoint": Path(outcome.best),
        "metrics": run_dir.metrics_path,
        "history": run_dir.history_path,
        "batches": run_dir.ledger_path,
    }
    lines += [
        (topic, str(short_path(path)))
        for topic, path in places.items()
        if path.name and path.exists()
    ]
    print_facts(lines)


def _main_metrics(results: Mapping[str, float], phase: Phase) -> list[str]:
    """Name the first metric of a phase and its loss, as far as there are any."""
    loss = f"{phase}/loss"
    others = [name for name in results if name.startswith(f"{phase}/") and name != loss]
    return others[:1] + [loss] * (loss in results)

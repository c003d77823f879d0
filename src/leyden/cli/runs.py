"""``leyden runs``: a table of runs, or two of them beside each other."""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from leyden.cli.command import answered
from leyden.cli.run_comparison import compare_runs
from leyden.errors import ConfigError, MissingPathError, suggest
from leyden.runs import RunDir, list_runs, read_run, standing

__all__ = ["run_runs"]

_Run: TypeAlias = tuple[RunDir, dict[str, Any]]
_WIDEST = 10_000  # characters of a line that is not shown on a terminal
_METRICS = 3  # columns of results, if nobody asks for others


def run_runs(arguments: argparse.Namespace) -> int:
    """List or compare as the command line says.

    Args:
        arguments: What ``add_runs`` made of it.

    Returns:
        The exit code: 0, or 2 for a user's slip.
    """
    return answered(lambda: _show(arguments))


def _show(arguments: argparse.Namespace) -> None:
    if len(arguments.folders) == 2:
        shown = compare_runs(*map(RunDir, arguments.folders), lines=arguments.diff)
    else:
        shown = _list(arguments)
    console = Console()
    for one in shown:
        if not console.is_terminal:  # lines in a file or a pipe have no end, so names stay whole
            widest = console.options.update(max_width=_WIDEST)
            console.width = max(console.width, Measurement.get(console, widest, one).maximum)
        console.print(one)


def _list(arguments: argparse.Namespace) -> list[Table | Text]:
    if len(arguments.folders) > 2:
        raise ConfigError(
            f"Expected a folder, or two runs, but got {len(arguments.folders)} paths."
        )
    if arguments.diff:
        raise ConfigError("Expected two runs for --diff, but got none. Name them, or leave it out.")
    (parent,) = arguments.folders or [Path("runs")]
    runs, hidden = _find(parent, with_trials=arguments.all)
    known = list(dict.fromkeys(name for _, facts in runs for name in facts.get("results", {})))
    wanted = arguments.metrics or _main(known)
    for name in (*wanted, *([arguments.sort] if arguments.sort else [])):
        if name not in known:
            problem = f"Expected the name of a result, but got {name!r}."
            raise ConfigError(f"{problem} {suggest(name, known)}")
    if arguments.sort:
        runs.sort(key=lambda item: _number(item[1], arguments.sort, default=float("inf")))
        wanted = list(dict.fromkeys([arguments.sort, *wanted]))
    table = _table(runs[: arguments.last], parent, wanted)
    return [table, Text(f"{_trials(hidden)} not shown; --all does.")] if hidden else [table]


def _find(parent: Path, *, with_trials: bool) -> tuple[list[_Run], int]:
    """Find the runs to show, and count those that are hidden."""
    if not parent.is_dir():
        problem = f"Expected `DIR` to be a folder with runs, but got {str(parent)!r}"
        is_there = "which is a file" if parent.exists() else "which does not exist"
        raise MissingPathError(f"{problem}, {is_there}.")
    if RunDir(parent).manifest_path.exists():
        read_run(RunDir(parent))  # of one that was named, what is broken is said
    runs = list_runs(parent)
    shown = [(run, facts) for run, facts in runs if with_trials or not facts.get("debug")]
    if not shown:
        hint = f" but {_trials(len(runs))}. Pass --all" if runs else ""
        problem = f"Expected `DIR` to hold runs, but found none in {str(parent)!r}"
        raise MissingPathError(f"{problem}{hint}.")
    return shown, len(runs) - len(shown)


def _trials(count: int) -> str:
    return "a trial" if count == 1 else f"{count} trials"


def _main(known: Sequence[str]) -> list[str]:
    """The results of tests come first, then those of validation."""
    phases = ("test/", "val/", "")
    ordered = [name for phase in phases for name in known if name.startswith(phase)]
    return list(dict.fromkeys(ordered))[:_METRICS]


def _table(runs: Sequence[_Run], parent: Path, metrics: Sequence[str]) -> Table:
    with_trials = any(facts.get("debug") for _, facts in runs)
    table = Table()
    table.add_column("run", overflow="fold", min_width=16)
    table.add_column("status", no_wrap=True)
    table.add_column("started", overflow="fold")
    if with_trials:
        table.add_column("debug", overflow="fold")
    for name in ("seconds", "objective", *metrics):
        table.add_column(name, justify="right", overflow="fold")
    for run, facts in runs:
        numbers = [_number(facts, name) for name in metrics]
        table.add_row(
            Text(_relative(run.path, parent)),
            standing(facts).value,
            time.strftime("%Y-%m-%d %H:%M", time.localtime(facts["timings"]["start"])),
            *([str(facts.get("debug") or "")] if with_trials else []),
            _text(facts["timings"].get("duration"), ".1f"),
            *(_text(number, ".5g") for number in (facts.get("objective"), *numbers)),
        )
    return table


def _number(facts: Mapping[str, Any], metric: str, default: Any = None) -> Any:
    number = facts.get("results", {}).get(metric)
    return default if number is None else number


def _text(number: float | None, form: str) -> str:
    return "" if number is None else format(number, form)


def _relative(path: Path, parent: Path) -> str:
    return str(path.relative_to(parent)) if path != parent else str(path)

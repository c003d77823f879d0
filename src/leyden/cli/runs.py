"""``leyden runs``: a table of runs, or two of them beside each other."""

import argparse
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from leyden.cli.command import Commands, add_command
from leyden.config import changes, load_saved_config
from leyden.errors import ConfigError, LeydenError, MissingPathError, suggest
from leyden.runs import RunDir, list_runs, read_manifest, standing

__all__ = ["add_runs"]

_DESCRIPTION = """List runs, the newest first: how they stand, how long they took, what came
out. With two folders of runs, show what their configurations and their results disagree in."""

_EPILOG = """examples:
  leyden runs                                   all below runs/, jobs of sweeps among them
  leyden runs runs/2026-11-21 --sort test/loss  of one day, the lowest test loss first
  leyden runs RUN OTHER                         what is different, and what came of it
"""
_METRICS = 3  # columns of results, if nobody asks for others


def add_runs(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "runs",
        run_runs,
        summary="list runs, or compare two",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="DIR", help="where to look (runs), or two runs"
    )
    parser.add_argument("--last", type=int, metavar="N", help="only the first N of the list")
    parser.add_argument("--sort", metavar="METRIC", help="by a result, the lowest first")
    parser.add_argument(
        "--metrics", nargs="+", metavar="METRIC", help="results to show, instead of the first few"
    )


def run_runs(arguments: argparse.Namespace) -> int:
    """List or compare as the command line says.

    Args:
        arguments: What ``add_runs`` made of it.

    Returns:
        The exit code: 0, or 2 for a user's slip.
    """
    try:
        if len(arguments.folders) == 2:
            shown = _compare(*map(RunDir, arguments.folders))
        else:
            shown = [_list(arguments)]
    except LeydenError as error:
        print(error, file=sys.stderr)
        return 2
    console = Console()
    for one in shown:
        console.print(one)
    return 0


def _list(arguments: argparse.Namespace) -> Table:
    if len(arguments.folders) > 2:
        raise ConfigError(
            f"Expected a folder, or two runs, but got {len(arguments.folders)} paths."
        )
    (parent,) = arguments.folders or [Path("runs")]
    if not parent.is_dir():
        problem = f"Expected `DIR` to be a folder with runs, but got {str(parent)!r}"
        raise MissingPathError(f"{problem}, which does not exist.")
    runs = list_runs(parent)
    if not runs:
        raise MissingPathError(f"Expected `DIR` to hold runs, but found none in {str(parent)!r}.")
    known = list(dict.fromkeys(name for _, facts in runs for name in facts.get("results", {})))
    wanted = arguments.metrics or _main(known)
    for name in (*wanted, *([arguments.sort] if arguments.sort else [])):
        if name not in known:
            problem = f"Expected the name of a result, but got {name!r}."
            raise ConfigError(f"{problem} {suggest(name, known)}")
    if arguments.sort:
        runs.sort(key=lambda item: _number(item[1], arguments.sort, default=float("inf")))
        wanted = list(dict.fromkeys([arguments.sort, *wanted]))
    return _table(runs[: arguments.last], parent, wanted)


def _main(known: Sequence[str]) -> list[str]:
    """The results of tests come first, then those of validation."""
    phases = ("test/", "val/", "")
    ordered = [name for phase in phases for name in known if name.startswith(phase)]
    return list(dict.fromkeys(ordered))[:_METRICS]


def _table(
    runs: Iterable[tuple[RunDir, dict[str, Any]]], parent: Path, metrics: Sequence[str]
) -> Table:
    table = Table()
    table.add_column("run", overflow="fold", min_width=16)
    table.add_column("status", no_wrap=True)
    table.add_column("started", overflow="fold")
    for name in ("seconds", "objective", *metrics):
        table.add_column(name, justify="right", overflow="fold")
    for run, facts in runs:
        numbers = [_number(facts, name) for name in metrics]
        table.add_row(
            _relative(run.path, parent),
            standing(facts).value,
            time.strftime("%Y-%m-%d %H:%M", time.localtime(facts["timings"]["start"])),
            _text(facts["timings"].get("duration"), ".1f"),
            *(_text(number, ".5g") for number in (facts.get("objective"), *numbers)),
        )
    return table


def _compare(one: RunDir, other: RunDir) -> list[Table | str]:
    names = [str(run.path) for run in (one, other)]
    facts = [read_manifest(run.manifest_path) for run in (one, other)]
    configs: list[Any] = [OmegaConf.to_container(load_saved_config(run)) for run in (one, other)]
    different = changes(*configs)
    table = Table("key", *names, title="configuration")
    for key, values in different.items():
        table.add_row(key, *map(str, values))
    results = Table("result", title="results")
    for name in (*names, "difference"):
        results.add_column(name, justify="right")
    results.add_row("status", *(standing(one_facts).value for one_facts in facts), "")
    for metric in dict.fromkeys(name for one_facts in facts for name in one_facts["results"]):
        numbers = [_number(one_facts, metric) for one_facts in facts]
        known = [number for number in numbers if number is not None]
        gap = known[1] - known[0] if len(known) == 2 else None
        results.add_row(metric, *(_text(number, ".5g") for number in numbers), _text(gap, "+.5g"))
    return [table if different else "The configurations are the same.", results]


def _number(facts: Mapping[str, Any], metric: str, default: Any = None) -> Any:
    number = facts.get("results", {}).get(metric)
    return default if number is None else number


def _text(number: float | None, form: str) -> str:
    return "" if number is None else format(number, form)


def _relative(path: Path, parent: Path) -> str:
    return str(path.relative_to(parent)) if path != parent else str(path)

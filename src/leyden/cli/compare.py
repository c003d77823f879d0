"""``leyden compare``: two evaluations row by row."""

import argparse
from collections.abc import Iterator
from typing import Any

from pyarrow import csv as arrow_csv
from pyarrow import parquet
from rich.console import Console
from rich.table import Table

from leyden.cli.facts import print_facts
from leyden.cli.guard import guarded
from leyden.errors import ConfigError, suggest
from leyden.evaluation import Comparison, Evaluation, compare, find_evaluation
from leyden.files import refuse_input, replacing

__all__ = ["run_compare"]

_WRITERS = {
    ".csv": arrow_csv.write_csv,
    ".parquet": parquet.write_table,
}


def run_compare(arguments: argparse.Namespace) -> int:
    """Compare as the command line says.

    Args:
        arguments: What ``add_compare`` made of it.

    Returns:
        The exit code: 0, or 2 for a user's slip.
    """
    return guarded(lambda: _compare(arguments))


def _compare(arguments: argparse.Namespace) -> None:
    _check(arguments)
    sides = find_evaluation(arguments.before), find_evaluation(arguments.after)
    found = compare(*sides, by=arguments.by, higher_is_better=arguments.higher_is_better)
    if arguments.output is not None:
        refuse_input(arguments.output, *(side.path for side in sides))
        with replacing(arguments.output) as temporary:
            _WRITERS[arguments.output.suffix](found.rows, temporary)
    console = Console(highlight=False)
    print_facts(_summary(sides, found))
    console.print(_sets(found, arguments.sets))
    for title, rows in (("got better", found.better), ("got worse", found.worse)):
        if rows.num_rows and arguments.rows:
            console.print(_rows(f"rows that {title} the most", rows.slice(0, arguments.rows)))


def _check(arguments: argparse.Namespace) -> None:
    for name in ("rows", "sets"):
        if getattr(arguments, name) < 0:
            value = getattr(arguments, name)
            raise ConfigError(f"Expected `--{name}` to be at least 0, but got {value}.")
    output = arguments.output
    if output is not None and output.suffix not in _WRITERS:
        problem = f"Expected `--output` to end in .csv or .parquet, but got {output.name!r}."
        raise ConfigError(f"{problem} {suggest(output.suffix, _WRITERS)}")


def _summary(
    sides: tuple[Evaluation, Evaluation], found: Comparison
) -> Iterator[tuple[str, object]]:
    for title, side in zip(("before", "after"), sides, strict=True):
        yield title, side.path
    way = "higher" if found.higher_is_better else "lower"
    yield "compared by", f"{found.by} ({way} is better)"
    same = found.rows.num_rows - found.num_better - found.num_worse
    counts = f"{found.num_better} better, {found.num_worse} worse, {same} the same"
    yield "rows", f"{counts}, of {found.rows.num_rows}"
    if found.num_only_before or found.num_only_after:
        only = f"{found.num_only_before} before, {found.num_only_after} after"
        yield "in one only", only
    yield "better by", f"{found.mean_change:+.5g} on average"
    yield from _turned(found).items()


def _turned(found: Comparison) -> dict[str, int]:
    """Count classes that were wrong and are right now, and the other way round."""
    rows = found.rows
    if not {"target", "before_prediction", "after_prediction"} <= set(rows.column_names):
        return {}
    target, before, after = (
        rows[name].to_numpy() for name in ("target", "before_prediction", "after_prediction")
    )
    if before.dtype.kind not in "biu":
        return {}
    return {
        "right now": int(((before != target) & (after == target)).sum()),
        "wrong now": int(((before == target) & (after != target)).sum()),
    }


def _sets(found: Comparison, most: int) -> Table:
    table = Table(title=f"sets, the worst change first ({found.sets.num_rows})")
    for name in ("set", "rows", "better", "worse", "before", "after", "change"):
        table.add_column(name, justify="right")
    for row in found.sets.slice(0, most).to_pylist():
        counts = (row["set_number"], row["num_rows"], row["num_better"], row["num_worse"])
        numbers = f"{row['before']:.5g}", f"{row['after']:.5g}", f"{row['change']:+.5g}"
        table.add_row(*map(str, counts), *numbers)
    return table


def _rows(title: str, rows: Any) -> Table:
    table = Table(title=title)
    names = {"set_number": "set", "before_prediction": "was", "after_prediction": "is"}
    for name in rows.column_names:
        table.add_column(names.get(name, name), justify="right")
    for row in rows.to_pylist():
        table.add_row(
            *(
                f"{value:{'+' if name == 'change' else ''}.5g}"
                if isinstance(value, float)
                else str(value)
                for name, value in row.items()
            )
        )
    return table

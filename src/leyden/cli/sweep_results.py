"""How the jobs of a sweep stand: as a file, as a table, and what tells them apart."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from leyden.files import replacing
from leyden.runs import RunDir, RunStatus

__all__ = [
    "JobResult",
    "differing",
    "make_table",
    "own_overrides",
    "write_results",
]


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job of a sweep stands.

    Args:
        number: Of the job, from 0.
        overrides: What it differs in from a run without overrides.
        run: Its run.
        status: Of the run.
        objective: What it is compared by.
        seconds: Time it took, all starts together, as far as they could say so.
    """

    number: int
    overrides: tuple[str, ...]
    run: RunDir
    status: RunStatus
    objective: float | None
    seconds: float


def write_results(path: Path, results: Sequence[JobResult]) -> None:
    """Write how jobs stand, as a table of text."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["job", "overrides", "status", "objective", "seconds", "run"])
        for one in results:
            objective = "" if one.objective is None else repr(one.objective)
            seconds, texts = f"{one.seconds:.3f}", " ".join(one.overrides)
            writer.writerow(
                [one.number, texts, one.status.value, objective, seconds, one.run.path.name]
            )


def make_table(results: Sequence[JobResult]) -> Table:
    """Make a table of how jobs stand, for the terminal."""
    table = Table(title="sweep", title_justify="left")
    for name in ("job", "overrides", "status", "objective", "seconds"):
        side = "right" if name in ("job", "objective", "seconds") else "left"
        table.add_column(name, justify=side, overflow="fold")  # type: ignore[arg-type] # of two texts
    for one in results:
        objective = "" if one.objective is None else f"{one.objective:.6g}"
        status = one.status.value
        own = own_overrides(one, results)
        table.add_row(str(one.number), own, status, objective, f"{one.seconds:.1f}")
    return table


def differing(results: Sequence[JobResult]) -> list[dict[str, str]]:
    """Say for each job what was chosen for it, where that is not the same for all.

    Args:
        results: The jobs.

    Returns:
        For each, values as text by key; ``default`` where a job has no such override.
    """
    chosen = [dict(_split(text) for text in one.overrides) for one in results]
    keys = dict.fromkeys(key for choice in chosen for key in choice)
    found = {key: [choice.get(key, "default") for choice in chosen] for key in keys}
    swept = {key: values for key, values in found.items() if len({*values}) > 1}
    return [{key: values[index] for key, values in swept.items()} for index in range(len(chosen))]


def _split(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key.lstrip("+~"), value


def own_overrides(one: JobResult, results: Sequence[JobResult]) -> str:
    """Name the overrides that the jobs do not share."""
    shared = set.intersection(*(set(other.overrides) for other in results))
    own = [text for text in one.overrides if text not in shared or len(results) == 1]
    return " ".join(own)

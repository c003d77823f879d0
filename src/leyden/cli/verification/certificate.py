"""What came out, for people and for programs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from leyden.cli.verification.causes import Cause
from leyden.cli.verification.comparison import Difference
from leyden.cli.verification.records import Start
from leyden.cli.verification.starts import Ended
from leyden.resume.rehearsal import Interruption

__all__ = ["Leg", "Outcome", "as_json", "print_certificate"]

_VERSION = 1
_NAMES = {  # of one event, and of several
    "batch": ("batch", "batches"),
    "step": ("step", "steps"),
    "row": ("logged row", "logged rows"),
    "validation batch": ("validation batch", "validation batches"),
    "validation": ("validation", "validations"),
    "end": ("final state", "final states"),
}


@dataclass(frozen=True, slots=True)
class Leg:
    """What one start of the run that was interrupted did.

    Attributes:
        start: What it wrote down.
        ended: How it ended.
        before: The interruption that it goes on from; ``None`` for the first.
        interruption: What ended it; ``None`` for the last.
        is_same: Whether all was as in the run that was not interrupted.
    """

    start: Start
    ended: Ended
    before: Interruption | None
    interruption: Interruption | None
    is_same: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that came out of a verification.

    Attributes:
        command: The user's.
        seed: That places were drawn with.
        reference: The run that was not interrupted.
        ended: How it ended.
        legs: The starts of the one that was.
        notes: What a reader should know.
        difference: The first; ``None`` for a certificate.
        cause: Of the difference.
    """

    command: Sequence[str]
    seed: int
    reference: Start
    ended: Ended
    legs: list[Leg]
    notes: list[str]
    difference: Difference | None = None
    cause: Cause | None = None


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Write an outcome down as plain values.

    Args:
        outcome: What came out.
    """
    difference = None
    if outcome.difference is not None:
        plain = {name: getattr(outcome.difference, name) for name in _SHOWN_OF_DIFFERENCE}
        difference = plain | {"cause": asdict(outcome.cause) if outcome.cause else None}
    return {
        "version": _VERSION,
        "result": "differs" if outcome.difference else "same",
        "command": list(outcome.command),
        "seed": outcome.seed,
        "batches": outcome.reference.num_batches,
        "seconds": outcome.ended.seconds,
        "starts": [_plain_leg(leg) for leg in outcome.legs],
        "difference": difference,
        "notes": outcome.notes,
        "versions": outcome.reference.facts["versions"],
        "device": outcome.reference.facts["device"],
        "world_size": outcome.reference.facts["world_size"],
        "final_state": {name: item[0] for name, item in _end_items(outcome.reference).items()},
    }


_SHOWN_OF_DIFFERENCE = ("kind", "batch", "where", "expected", "got")


def print_certificate(outcome: Outcome, console: Console) -> None:
    """Print an outcome.

    Args:
        outcome: What came out.
        console: Where to.
    """
    console.print(_table(outcome))
    for note in outcome.notes:
        console.print(f"Note: {escape(note)}", highlight=False)
    facts = outcome.reference.facts
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    console.print(f"{versions}, on {facts['device']}, {facts['world_size']} process(es)")
    if outcome.difference is None:
        console.print(_praise(outcome), style="bold green", highlight=False)
    else:
        _print_difference(outcome.difference, outcome.cause, console)


def _table(outcome: Outcome) -> Table:
    table = Table("goes on after", "exit code", "from batch", "compared", "result")
    table.title = "A run with interruptions, beside one without"
    for leg in outcome.legs:
        before = "— (step 0)" if leg.before is None else str(leg.before)
        code = "" if leg.before is None else str(_code_before(outcome, leg))
        result = "[green]same[/]" if leg.is_same else "[bold red]differs[/]"
        table.add_row(before, code, str(leg.start.first_batch), _compared(leg), result)
    return table


def _compared(leg: Leg) -> str:
    counts = leg.start.counts()
    named = (f"{counts[kind]} {_NAMES[kind][counts[kind] > 1]}" for kind in _NAMES if counts[kind])
    return ", ".join(named)


def _code_before(outcome: Outcome, leg: Leg) -> int:
    return outcome.legs[outcome.legs.index(leg) - 1].ended.code


def _praise(outcome: Outcome) -> str:
    names = _end_items(outcome.reference)
    weights = sum(name.startswith("weights[") for name in names)
    states = sum(name.startswith("optimizers[") for name in names)
    return (
        f"Certificate: the same bit for bit after {outcome.reference.num_batches} batches: "
        f"{weights} weights and buffers, {states} values of optimizer state, all batches, metrics "
        "and logged rows."
    )


def _end_items(reference: Start) -> dict[str, list[str]]:
    return reference.last.items if reference.last is not None else {}


def _print_difference(difference: Difference, cause: Cause | None, console: Console) -> None:
    console.print(
        f"Differs, first at batch {difference.batch}: {escape(difference.where)}",
        style="bold red",
        highlight=False,
    )
    console.print(f"  not interrupted: {escape(difference.expected)}", highlight=False)
    console.print(f"  interrupted:     {escape(difference.got)}", highlight=False)
    if cause is None:
        return
    console.print(f"Most likely: {escape(cause.text)}.", highlight=False, soft_wrap=True)
    for line in cause.lines:
        console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)
    console.print(f"Remedy: {escape(cause.remedy)}", highlight=False, soft_wrap=True)


def _plain_leg(leg: Leg) -> dict[str, Any]:
    return {
        "goes_on_after": None if leg.before is None else asdict(leg.before),
        "ended_by": None if leg.interruption is None else asdict(leg.interruption),
        "exit_code": leg.ended.code,
        "seconds": leg.ended.seconds,
        "first_batch": leg.start.first_batch,
        "compared": dict(leg.start.counts()),
        "same": leg.is_same,
    }

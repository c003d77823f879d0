"""Two runs, event by event: the first thing that differs."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from leyden.cli.verification.records import Record, Start

__all__ = ["Difference", "first_difference"]

_NOTHING = ["", "nothing of that name"]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing in which a run differs from the one that was not interrupted.

    Attributes:
        kind: ``value``, ``event`` (another one, one too many or one that is missing) or ``start``
            (it began anew, where there was a checkpoint).
        batch: Index of the batch of training at hand.
        where: Which event, and which value in it.
        expected: What it was in the run that was not interrupted.
        got: What it was here.
        record: The event here, and the same one there.
    """

    kind: str
    batch: int
    where: str
    expected: str
    got: str
    record: Record | None = None
    reference: Record | None = None


def first_difference(
    reference: Start, start: Start, ignored: Sequence[str] = ()
) -> Difference | None:
    """Compare what a start did with what the run that was not interrupted did.

    Args:
        reference: The run that was not interrupted.
        start: One that goes on from a checkpoint.
        ignored: Patterns of names of metrics that need not be the same.

    Returns:
        ``None`` if all is the same.
    """
    if start.facts and not start.facts["resumed"]:
        return Difference("start", 0, "the beginning", "from a checkpoint", "from step 0 again")
    found = [
        _in_rank(theirs, ours, start, ignored)
        for theirs, ours in zip(reference.records, start.records, strict=False)
    ]
    return min(filter(None, found), key=lambda one: one.batch, default=None)


def _in_rank(
    theirs: list[Record], ours: list[Record], start: Start, ignored: Sequence[str]
) -> Difference | None:
    by_number = {record.number: record for record in theirs}
    for expected_number, record in enumerate(ours, start.facts.get("begins_at", 0)):
        other = by_number.get(record.number)
        if other is None or record.number != expected_number or _label(other) != _label(record):
            return _other_event(other, record)
        for name in [*other.items, *(name for name in record.items if name not in other.items)]:
            before, now = other.items.get(name, _NOTHING), record.items.get(name, _NOTHING)
            if before[0] != now[0] and not _is_ignored(record, name, ignored):
                return _other_value(other, record, name)
    if start.is_finished and ours and ours[-1].number != theirs[-1].number:
        return _other_event(theirs[-1], ours[-1])
    return None


def _is_ignored(record: Record, name: str, ignored: Sequence[str]) -> bool:
    if record.what != "row" and not name.startswith("metrics["):
        return False
    key = name.partition("[")[2].rpartition("]")[0].strip("'")
    return any(fnmatchcase(key, pattern) for pattern in ignored)


def _label(record: Record) -> tuple[object, ...]:
    return record.what, record.batch, record.more.get("step"), record.more.get("logger")


def _other_event(other: Record | None, record: Record) -> Difference:
    expected = "nothing more" if other is None else _words(other)
    return Difference(
        "event", record.batch, "what happens next", expected, _words(record), record, other
    )


def _other_value(other: Record, record: Record, name: str) -> Difference:
    shown = [_show(one.items.get(name, _NOTHING)) for one in (other, record)]
    if record.what == "row":
        where = f"logged row of step {record.more['step']} ({record.more['logger'][2:]}), {name}"
    else:
        where = record.what if name == record.what else f"{record.what}, {name}"
    return Difference("value", record.batch, where, shown[0], shown[1], record, other)


def _show(item: list[str]) -> str:
    digest, words = item
    return words if digest in ("", words) else f"{words} [{digest[:8]}]"


def _words(record: Record) -> str:
    rest = f" of step {record.more['step']}" if record.what == "row" else ""
    return f"{record.what}{rest} at batch {record.batch}"

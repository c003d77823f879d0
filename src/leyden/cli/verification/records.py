"""What the observed processes have written down."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leyden.resume.rehearsal import Rehearsal

__all__ = ["Record", "Start", "read_start"]


@dataclass(frozen=True, slots=True)
class Record:
    """One event of a run.

    Attributes:
        what: ``batch``, ``step``, ``row``, ``validation batch``, ``validation`` or ``end``.
        rank: Of the process.
        number: The same for the same event in all runs.
        batch: Index of the batch of training at hand, counted through all epochs.
        items: For each value its digest, and the value in a few words.
        more: What else is known of it.
    """

    what: str
    rank: int
    number: int
    batch: int
    items: dict[str, list[str]]
    more: dict[str, Any]


@dataclass(slots=True)
class Start:
    """What one start of the command did.

    Attributes:
        number: Of the start; 0 is the run that was not interrupted.
        records: By rank, in order.
        facts: What the first process said of itself; empty if its training did not begin.
        attached: What it said when ``ExactResume`` was set up; empty if it was not.
        loaders: What it said of its loaders.
        is_interrupted: Whether the interruption took place.
    """

    number: int
    records: list[list[Record]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    attached: dict[str, Any] = field(default_factory=dict)
    loaders: list[dict[str, Any]] = field(default_factory=list)
    is_interrupted: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether it came to the end of the run."""
        return bool(self.records and self.records[0] and self.records[0][-1].what == "end")

    @property
    def last(self) -> Record | None:
        """The last event of the first process."""
        return self.records[0][-1] if self.records and self.records[0] else None

    @property
    def first_batch(self) -> int:
        """Index of the first batch that it went through."""
        return min((one.batch for one in self.of_kind("batch")), default=0)

    @property
    def num_batches(self) -> int:
        """Number of batches of training that it went through, in one process."""
        return sum(1 for _ in self.of_kind("batch"))

    def of_kind(self, what: str) -> Iterator[Record]:
        """The events of a kind, of the first process."""
        return (one for one in (self.records or [[]])[0] if one.what == what)

    def counts(self) -> Counter[str]:
        """How many events of each kind there are, of all processes."""
        return Counter(one.what for records in self.records for one in records)


def read_start(rehearsal: Rehearsal) -> Start:
    """Read what the processes of a start have written.

    Args:
        rehearsal: What they were to do.
    """
    start = Start(rehearsal.start)
    rank = 0
    while (path := rehearsal.records_path(rank)).exists():
        start.records.append([])
        for content in _lines(path):
            _take(start, rank, content)
        rank += 1
    return start


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):  # else a kill came in between
                yield json.loads(line)


def _take(start: Start, rank: int, content: dict[str, Any]) -> None:
    what, batch = content.pop("what"), content.pop("batch")
    if "n" in content:
        number, items = content.pop("n"), content.pop("items")
        start.records[rank].append(Record(what, rank, number, batch, items, content))
    elif what == "interruption":
        start.is_interrupted = True
    elif rank == 0 and what == "start":
        start.facts = content
    elif rank == 0 and what == "attached":
        start.attached = content
    elif rank == 0 and what == "loader":
        start.loaders.append(content)

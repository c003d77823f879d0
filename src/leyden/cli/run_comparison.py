"""What two runs disagree in: configuration, code and results."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from leyden.config import changes, load_saved_config
from leyden.errors import DataError
from leyden.runs import RunDir, read_run, snapshot_dirs, standing

__all__ = ["compare_runs"]

_NOT_CODE = ("commit.json", "changes.diff")
_SHORT = 12  # digits of a commit


def compare_runs(one: RunDir, other: RunDir, *, lines: bool = False) -> list[Table | Text]:
    """Put two runs beside each other.

    Args:
        one: A run.
        other: Another.
        lines: Whether to show the lines of code that differ, too.

    Returns:
        What to print: tables, and sentences where there is nothing for a table.

    Raises:
        MissingPathError: If one of them is no run.
        DataError: If what is known about one of them cannot be read.
    """
    names = [str(run.path) for run in (one, other)]
    facts = [read_run(run) for run in (one, other)]
    code = _compare_code(one, other, lines=lines)
    return [_compare_configs(one, other, names), *code, _compare_results(facts, names)]


def _compare_configs(one: RunDir, other: RunDir, names: list[str]) -> Table | Text:
    configs: list[Any] = [OmegaConf.to_container(load_saved_config(run)) for run in (one, other)]
    different = changes(*configs)
    if not different:
        return Text("The configurations are the same.")
    table = _table("configuration", "key", names)
    for key, values in different.items():
        table.add_row(Text(key), *(Text(str(value)) for value in values))
    return table


def _compare_results(facts: Sequence[Mapping[str, Any]], names: list[str]) -> Table:
    table = _table("results", "result", names)
    table.add_column("difference", justify="right")
    table.add_row("status", *(standing(one).value for one in facts), "")
    results = [one.get("results", {}) for one in facts]
    for metric in dict.fromkeys(name for one in results for name in one):
        numbers = [one.get(metric) for one in results]
        texts = ("" if number is None else f"{number:.5g}" for number in numbers)
        first, second = numbers
        is_known = first is not None and second is not None
        table.add_row(Text(metric), *texts, f"{second - first:+.5g}" if is_known else "")
    return table


@dataclass(frozen=True, slots=True)
class _Code:
    """The code of a run.

    Args:
        commit: What was checked out.
        is_changed: Whether something differed from it.
        files: What is kept of it, by name.
    """

    commit: str | None
    is_changed: bool
    files: Mapping[str, bytes]

    @override
    def __str__(self) -> str:
        if self.commit is None:
            return f"{len(self.files)} files"
        return self.commit[:_SHORT] + (" and changes" if self.is_changed else "")


def _compare_code(one: RunDir, other: RunDir, *, lines: bool) -> Iterator[Table | Text]:
    """Compare what both have kept of their code, when they were started last."""
    pair = [_code_of(run) for run in (one, other)]
    without = [str(run.path) for run, code in zip((one, other), pair, strict=True) if code is None]
    before, after = pair
    if before is None or after is None:
        yield Text(f"The code cannot be compared: {' and '.join(without)} kept none.")
        return
    names = sorted({*before.files, *after.files})
    different = [name for name in names if before.files.get(name) != after.files.get(name)]
    if not different and before.commit == after.commit:
        yield Text("The code is the same.")
        return
    table = _table("code", "file", [str(run.path) for run in (one, other)])
    table.add_row("commit", str(before), str(after))
    for name in different:
        added, removed = _count(before.files.get(name), after.files.get(name))
        is_there = ["" if name in code.files else "not there" for code in (before, after)]
        lost, gained = f"-{removed}" if removed else "", f"+{added}" if added else ""
        table.add_row(Text(name), is_there[0] or lost, is_there[1] or gained)
    yield table
    if lines:
        for name in different:
            yield _coloured(_lines(name, before.files.get(name), after.files.get(name)))


def _code_of(run: RunDir) -> _Code | None:
    folders = snapshot_dirs(run)
    if not folders:
        return None
    folder = folders[-1]
    try:
        known = json.loads((folder / "commit.json").read_text(encoding="utf-8"))
        commit, is_changed = known["commit"], bool(known["is_changed"])
    except (ValueError, KeyError, TypeError) as error:
        problem = f"Expected a commit in {folder / 'commit.json'}, but it cannot be read"
        raise DataError(f"{problem} ({type(error).__name__}). Remove the folder.") from error
    return _Code(commit, is_changed, dict(_read(folder)))


def _read(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and name not in _NOT_CODE:
            yield name, path.read_bytes()


def _texts(content: bytes | None) -> list[str]:
    return [] if content is None else content.decode("utf-8", "replace").splitlines()


def _lines(name: str, before: bytes | None, after: bytes | None) -> list[str]:
    return list(difflib.unified_diff(_texts(before), _texts(after), name, name, lineterm=""))


def _count(before: bytes | None, after: bytes | None) -> tuple[int, int]:
    """Count lines that came and lines that went."""
    lines = _lines("", before, after)[2:]
    return sum(one.startswith("+") for one in lines), sum(one.startswith("-") for one in lines)


def _coloured(lines: list[str]) -> Text:
    styles = {"+": "green", "-": "red", "@": "cyan"}
    return Text("\n").join(Text(line, styles.get(line[:1], "")) for line in lines)


def _table(title: str, first: str, names: list[str]) -> Table:
    table = Table(title=title)
    table.add_column(first, overflow="fold")
    for name in names:
        table.add_column(Text(name), overflow="fold")
    return table

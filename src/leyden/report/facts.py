"""What is known about a run, as tables of a page."""

import json
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from leyden.introspect import NonFinite
from leyden.runs import standing

__all__ = [
    "describe_environment",
    "describe_evaluations",
    "describe_incidents",
    "describe_run",
    "read_evaluations",
    "read_incidents",
    "status_of",
]

_FINDINGS = 3  # shown of an incident


def read_incidents(folder: Path) -> list[dict[str, Any]]:
    """Read what is known of the incidents of a run.

    Args:
        folder: That of all incidents.

    Returns:
        What each ``incident.json`` says, by step; for one that cannot be read, ``folder`` and
        ``problem_of_file``.
    """
    paths = sorted(folder.glob("[!.]*/incident.json"))
    found = [{**_read(path), "folder": path.parent.name} for path in paths]
    return sorted(found, key=lambda facts: int(facts.get("step", 0)))


def read_evaluations(folder: Path) -> list[dict[str, Any]]:
    """Read what is known of the evaluations of a run.

    Args:
        folder: That of all evaluations.

    Returns:
        What each ``metrics.json`` says, the oldest first; for one that cannot be read, ``folder``
        and ``problem_of_file``.
    """
    paths = sorted(folder.glob("*/[!.]*/metrics.json"))
    found = [{**_read(path), "folder": str(path.parent.relative_to(folder))} for path in paths]
    return sorted(found, key=lambda facts: float(facts.get("created", 0)))


def _read(path: Path) -> dict[str, Any]:
    problem: object
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # it does not keep the page from the rest
        problem = error
    else:
        if isinstance(facts, dict):
            return facts
        problem = f"it is a {type(facts).__name__}"
    return {"problem_of_file": f"cannot be read: {problem}"}


def status_of(facts: Mapping[str, Any]) -> str:
    """Say how a run stands.

    Args:
        facts: What ``run.json`` says, if there is one.

    Example:
        >>> status_of({})
        'unknown'
    """
    return standing(facts).value if "status" in facts else "unknown"


def describe_run(facts: Mapping[str, Any]) -> str:
    """Make tables of status, times, results and starts.

    Args:
        facts: What ``run.json`` says.
    """
    timings = facts.get("timings", {})
    rows = {
        "name": facts.get("name"),
        "status": status_of(facts),
        "command": shlex.join(map(str, facts.get("command", []))),
        "started": _moment(timings.get("start")),
        "ended": _moment(timings.get("end")),
        "duration": _duration(timings.get("duration")),
        "objective": facts.get("objective"),
        "seeds": _pairs(facts.get("seeds", {})),
        "configuration": facts.get("config_digest"),
        "debug": facts.get("debug"),
        "code": _pairs(_known(facts.get("code") or {})),
        "parents": "\n".join(_pairs(parent) for parent in facts.get("parents", [])),
        "error": _pairs(facts.get("error") or {}),
    }
    known = {name: value for name, value in rows.items() if value not in (None, "")}
    return _table(known.items()) + _results(facts) + _starts(facts.get("starts", []))


def _known(code: Mapping[str, Any]) -> dict[str, Any]:
    """Which code it was, without what is not known of it."""
    shown = {name: code.get(name) for name in ("folder", "commit", "branch", "is_changed")}
    return {name: value for name, value in shown.items() if value is not None}


def describe_environment(facts: Mapping[str, Any]) -> str:
    """Make a table of versions, hardware and host.

    Args:
        facts: What ``run.json`` says.
    """
    rows = {**facts.get("versions", {}), **_flat(facts.get("hardware", {}))}
    rows |= {name: facts[name] for name in ("host", "pid") if name in facts}
    return _table(rows.items())


def describe_incidents(incidents: Iterable[Mapping[str, Any]]) -> str:
    """Make a table of what went wrong.

    Args:
        incidents: What ``read_incidents`` returns.
    """
    rows = [_incident_row(one) for one in incidents]
    if not rows:
        return '<p class="none">None were kept.</p>'
    return _table(rows, head=("step", "epoch", "batch", "loss", "what", "where", "folder"))


def describe_evaluations(evaluations: Sequence[Mapping[str, Any]]) -> str:
    """Make a table of what models of the run gave for rows of data.

    Args:
        evaluations: What ``read_evaluations`` returns.
    """
    if not evaluations:
        return '<p class="none">None were made: leyden evaluate RUN.</p>'
    names = list(dict.fromkeys(name for one in evaluations for name in one.get("metrics", {})))
    facts = ("split", "num_rows", "data", "checkpoint", "global_step")
    rows = [
        (
            one["folder"],
            _moment(one.get("created")),
            *(one.get(name) for name in facts),
            *(one.get("metrics", {}).get(name) for name in names),
            one.get("problem_of_file"),
        )
        for one in evaluations
    ]
    shown = ("evaluation", "made", "split", "rows", "data", "checkpoint", "step", *names, "")
    return _table(rows, head=shown)


def _incident_row(facts: Mapping[str, Any]) -> list[object]:
    origin = facts.get("origin") or {}
    findings = facts.get("findings", [])
    where = [f"batch of {origin['name']}"] if origin.get("name") else []
    where += [_finding(one) for one in findings[:_FINDINGS]]
    rows = facts.get("nonfinite_rows", [])
    where += [_bad_row(one) for one in rows[:_FINDINGS]]
    where += [f"and {len(rows) - _FINDINGS} more rows"] if len(rows) > _FINDINGS else []
    what = facts.get("problem_of_file") or facts.get("what") or facts.get("trouble")
    first = [facts.get(name) for name in ("step", "epoch", "batch", "loss")]
    return [*first, what, "\n".join(where), facts["folder"]]


def _finding(facts: Mapping[str, Any]) -> str:
    counts = [int(facts.get(name, 0)) for name in ("num_nan", "num_inf", "num_values")]
    return str(NonFinite(str(facts.get("where", "")), str(facts.get("name", "")), *counts))


def _bad_row(facts: Mapping[str, Any]) -> str:
    place = f"row {facts.get('row')} of the batch"
    if facts.get("set_number") is not None:
        place = f"{place}, row {facts.get('row_in_set')} of set {facts['set_number']},"
    return f"{place} is not finite"


def _results(facts: Mapping[str, Any]) -> str:
    told = facts.get("results", {})
    results = {name: "not finite" if told[name] is None else told[name] for name in told}
    return "<h3>Results</h3>" + _table(results.items()) if results else ""


def _starts(starts: Sequence[Mapping[str, Any]]) -> str:
    if len(starts) < 2:
        return ""
    rows = [
        (
            _moment(start.get("start")),
            _moment(start.get("end")),
            start.get("status"),
            shlex.join(map(str, start.get("command", []))),
        )
        for start in starts
    ]
    return "<h3>Starts</h3>" + _table(rows, head=("began", "ended", "status", "command"))


def _table(rows: Iterable[Sequence[object]], head: Sequence[str] = ()) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(_row(row, is_named=not head) for row in rows)
    return f"<table>{f'<tr>{top}</tr>' if top else ''}{body}</table>"


def _row(cells: Sequence[object], *, is_named: bool) -> str:
    first, *rest = map(_text, cells)
    tag = "th" if is_named else "td"
    return f"<tr><{tag}>{first}</{tag}>{''.join(f'<td>{cell}</td>' for cell in rest)}</tr>"


def _text(value: object) -> str:
    if value is None:
        return ""
    return escape(format(value, ".6g") if isinstance(value, float) else str(value))


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name} ")
        elif isinstance(value, list):
            flat |= _flat({str(index): one for index, one in enumerate(value)}, f"{prefix}{name} ")
        else:
            flat[prefix + name] = value
    return flat


def _pairs(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in facts.items())


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours} h {minutes} min {rest:.0f} s" if seconds >= 60 else f"{seconds:.1f} s"

"""A run on one page that needs nothing else: ``report.html``."""

import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from leyden.errors import MissingPathError
from leyden.files import refuse_other_kind, replacing
from leyden.report.embedding import Packed, pack_curves, pack_timeline
from leyden.report.facts import (
    describe_environment,
    describe_evaluations,
    describe_incidents,
    describe_run,
    read_evaluations,
    read_incidents,
    status_of,
)
from leyden.report.logged_steps import to_logged_step
from leyden.runs import RunDir, read_run
from leyden.tracking import History, epoch_ends, read_ledger, read_metrics

__all__ = ["write_page"]


def write_page(run_dir: str | Path, path: str | Path | None = None) -> Path:
    """Write a run's facts, curves, sets, layers, evaluations and incidents as one page.

    The page is a single file that asks for nothing else, neither from the disk nor from a network:
    it can be mailed, and opened without leyden. It stays below 5 MB: where curves are longer than
    that, the lowest and the highest values of short stretches stand for them, and of very many
    batches, some are chosen by chance; the page says so. What the run has not recorded is left out.

    Args:
        run_dir: The folder of a run, of whatever status.
        path: The file; ``report.html`` in the folder of the run if ``None``.

    Returns:
        The file.

    Raises:
        MissingPathError: If this is no run: there is neither ``run.json`` nor ``metrics.csv``.
        WriteError: If no file can be at ``path``, or one is there that is no page.
        DataError: If a file of the run cannot be read.
    """
    run = RunDir(Path(run_dir))
    if not (run.manifest_path.exists() or run.metrics_path.exists()):
        problem = f"Expected `run_dir` to be the folder of a run, but got {str(run_dir)!r}"
        raise MissingPathError(f"{problem}, which has neither run.json nor metrics.csv.")
    target = run.page_path if path is None else Path(path)
    refuse_other_kind(target, ".html", ".htm")
    text = _render(run)
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return target


def _render(run: RunDir) -> str:
    facts = read_run(run) if run.manifest_path.exists() else {}
    history = read_metrics(run.metrics_path) if run.metrics_path.exists() else {}
    incidents = read_incidents(run.incidents_dir)
    curves = pack_curves({name: curve for name, curve in history.items() if name != "epoch"})
    ledger = read_ledger(run.ledger_path) if run.ledger_path.exists() else None
    timeline = pack_timeline(ledger) if ledger is not None else Packed(None, 0, 0)
    name = run.path.absolute().name
    return _template().substitute(
        style=_source("page.css"),
        script=_source("page.js"),
        name=escape(name),
        status=status_of(facts),
        facts=describe_run(facts) if facts else '<p class="none">There is no run.json.</p>',
        environment=describe_environment(facts),
        evaluations=describe_evaluations(read_evaluations(run.evaluation_dir)),
        incidents=describe_incidents(incidents),
        config=_config(run),
        notes=_notes(curves, timeline),
        data=_json(
            {
                **curves.content,
                "timeline": timeline.content if timeline.kept else None,
                "epochs": _epochs(history),
                "incidents": [
                    to_logged_step(ledger, int(one["step"])) for one in incidents if "step" in one
                ],
            }
        ),
    )


def _notes(curves: Packed, timeline: Packed) -> str:
    notes = []
    if curves.kept < curves.total:
        notes.append(
            f"{curves.kept:,} of {curves.total:,} points of the curves are on this page: the "
            "lowest and the highest of each short stretch. All are in metrics.csv."
        )
    if timeline.kept < timeline.total:
        notes.append(
            f"{timeline.kept:,} of {timeline.total:,} uses of sets are on this page, chosen by "
            "chance. All are in batches.parquet."
        )
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _epochs(history: History) -> list[int]:
    ends = epoch_ends(history)
    return ends if len(ends) <= 200 else []  # too many to tell apart


def _config(run: RunDir) -> str:
    """Show the configuration of the last start; names begin with the time."""
    paths = sorted(run.config_dir.glob("*.yaml"))
    if not paths:
        return ""
    text = escape(paths[-1].read_text(encoding="utf-8"))
    return f"<h2>Configuration</h2><details><summary>show</summary><pre>{text}</pre></details>"


def _json(content: Mapping[str, Any]) -> str:
    """Write JSON that cannot end the script element it is in."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _source(name: str) -> str:
    return files("leyden.report").joinpath(name).read_text(encoding="utf-8")


def _template() -> Template:
    return Template(_source("page.html"))

"""What is known about a run, as tables."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from leyden.report.facts import (
    describe_environment,
    describe_incidents,
    describe_run,
    read_incidents,
)
from leyden.runs import RunDir, RunManifest, read_manifest


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, Any]:
    run = RunDir(tmp_path)
    with RunManifest(run, command=["train.py", "a b"], seeds={"all": 3}) as manifest:
        manifest.add_results({"val/loss": 0.123456789})
    return read_manifest(run.manifest_path)


def cells(table: str) -> list[str]:
    return re.findall(r"<t[hd]>(.*?)</t[hd]>", table, re.DOTALL)


def keep(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "incident.json").write_text(text)


def test_run_is_described(facts: dict[str, Any]) -> None:
    found = cells(describe_run(facts))
    pairs = dict(zip(found[::2], found[1::2], strict=True))
    assert pairs["status"] == "finished"
    assert pairs["command"] == "train.py &#x27;a b&#x27;"
    assert pairs["seeds"] == "all: 3"
    assert pairs["val/loss"] == "0.123457"
    assert "error" not in pairs


def test_error_and_earlier_starts_are_told(facts: dict[str, Any]) -> None:
    facts |= {"status": "failed", "error": {"type": "ValueError", "message": "a < b"}}
    facts["starts"] = [*facts["starts"], {"status": "failed", "command": ["x"]}]
    text = describe_run(facts)
    assert "type: ValueError, message: a &lt; b" in text
    assert cells(text)[-4:] == ["", "", "failed", "x"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(5.25, "5.2 s"), (60, "0 h 1 min 0 s"), (3 * 3600 + 125, "3 h 2 min 5 s")]
)
def test_durations_are_readable(facts: dict[str, Any], seconds: float, text: str) -> None:
    facts["timings"]["duration"] = seconds
    assert text in cells(describe_run(facts))


def test_results_that_are_no_numbers_are_told(facts: dict[str, Any]) -> None:
    facts["results"] = {"val/loss": None, "val/accuracy": 0.0}
    found = cells(describe_run(facts))
    assert found[found.index("val/loss") :] == ["val/loss", "not finite", "val/accuracy", "0"]


def test_environment_is_flat(facts: dict[str, Any]) -> None:
    facts["hardware"] = {"cpu": {"cores": 2}, "gpu": [{"name": "big"}]}
    found = cells(describe_environment(facts))
    pairs = dict(zip(found[::2], found[1::2], strict=True))
    assert (pairs["cpu cores"], pairs["gpu 0 name"]) == ("2", "big")
    assert pairs["leyden"]
    assert pairs["pid"] == str(facts["pid"])


def test_incidents_are_listed_by_step(tmp_path: Path) -> None:
    finding = {"where": "output", "name": "head.1", "num_nan": 3, "num_values": 8}
    in_set = {"row": 4, "set_number": 7, "row_in_set": 11}
    first = {"step": 9, "loss": "nan", "what": "NaN loss", "findings": [finding] * 5}
    first |= {"origin": {"name": "7-a"}, "nonfinite_rows": [in_set, *[{"row": 5}] * 4]}
    keep(tmp_path, "10", json.dumps({"step": 10, "trouble": "jump"}))
    keep(tmp_path, "9", json.dumps(first))
    keep(tmp_path, ".11-unfinished", json.dumps({"step": 11}))
    text = describe_incidents(read_incidents(tmp_path))
    rows = text.split("<tr>")[2:]
    assert [cells(row)[0] for row in rows] == ["9", "10"]
    assert cells(rows[0])[3:5] == ["nan", "NaN loss"]
    where = cells(rows[0])[5].split("\n")
    assert where[0] == "batch of 7-a"
    assert where[1:4] == ["3 NaN of 8 in output &#x27;head.1&#x27;"] * 3
    assert where[4] == "row 4 of the batch, row 11 of set 7, is not finite"
    assert where[5:] == ["row 5 of the batch is not finite"] * 2 + ["and 2 more rows"]
    assert cells(rows[1])[4] == "jump"


@pytest.mark.parametrize(("text", "problem"), [("{", "Expecting"), ("[]", "it is a list")])
def test_incident_that_cannot_be_read_is_told(tmp_path: Path, text: str, problem: str) -> None:
    keep(tmp_path, "1", text)
    assert f"cannot be read: {problem}" in describe_incidents(read_incidents(tmp_path))


def test_no_incidents_are_told(tmp_path: Path) -> None:
    assert "None were kept" in describe_incidents(read_incidents(tmp_path / "incidents"))

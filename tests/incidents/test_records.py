"""Folders of incidents: there whole, or not at all."""

import json
import math
from pathlib import Path

import pytest
import torch

from leyden.errors import DataError, MissingPathError, ResumeError
from leyden.incidents import IncidentFolder, keep_batch, read_incident
from leyden.incidents.records import real_number


def test_incident_is_read_as_it_was_written(tmp_path: Path) -> None:
    structure, tensors = keep_batch((torch.ones(2), 3))
    folder = IncidentFolder(tmp_path / "incidents", "7")
    folder.begin()
    folder.write_batch(tensors)
    folder.write_state({"state_dict": {"weight": torch.zeros(1)}, "start": 0})
    folder.write_state({"start": 1}, rank=1)
    assert not (tmp_path / "incidents" / "7").exists()
    ranks = [{"batch_structure": structure}, {"batch_structure": None}]
    folder.finish({"step": 7, "loss": math.nan, "before": [{"loss": math.inf}], "ranks": ranks})
    found = read_incident(tmp_path / "incidents" / "7")
    assert (found.step, found.facts["loss"], found.facts["before"]) == (7, "nan", [{"loss": "inf"}])
    assert found.batch(0)[0].tolist() == [1.0, 1.0]
    assert (found.state(0)["start"], found.state(1)["start"]) == (0, 1)
    assert list(found.state(1)["state_dict"]) == ["weight"]
    with pytest.raises(DataError, match="but the step draws its batches itself"):
        found.batch(1)


def test_what_a_kill_has_left_is_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / ".7-unfinished"
    left.mkdir()
    (left / "state.ckpt").write_text("half")
    folder = IncidentFolder(tmp_path, "7")
    folder.begin()
    folder.finish({"step": 7})
    assert [path.name for path in tmp_path.iterdir()] == ["7"]
    assert [path.name for path in (tmp_path / "7").iterdir()] == ["incident.json"]


def test_incident_that_is_abandoned_leaves_nothing(tmp_path: Path) -> None:
    folder = IncidentFolder(tmp_path, "7")
    folder.begin()
    with pytest.raises(ResumeError, match="Expected the checkpoint to be plain data"):
        folder.write_state({"code": print})
    folder.abandon()
    assert list(tmp_path.iterdir()) == []


def test_state_that_was_not_kept_is_said(tmp_path: Path) -> None:
    folder = IncidentFolder(tmp_path, "7")
    folder.begin()
    folder.finish({"step": 7, "state_problem": "It holds a lambda."})
    with pytest.raises(DataError, match=r"it was not kept: It holds a lambda\. Replay the run"):
        read_incident(tmp_path / "7").state(0)


def test_folder_that_is_no_incident_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="Expected the folder of an incident, but got"):
        read_incident(tmp_path)
    (tmp_path / "incident.json").write_text("{")
    with pytest.raises(DataError, match=r"Expected incident\.json to be JSON"):
        read_incident(tmp_path)
    (tmp_path / "incident.json").write_text(json.dumps({"version": 99}))
    with pytest.raises(DataError, match=r"Expected incident\.json of version 1, but got 99"):
        read_incident(tmp_path)


def test_numbers_come_back() -> None:
    assert (real_number("-inf"), real_number(None), real_number(0.1)) == (-math.inf, None, 0.1)

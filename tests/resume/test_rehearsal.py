"""Rehearsals: what a process is told, and where its checkpoints are."""

from pathlib import Path

import pytest

from leyden.resume import CheckpointStore, latest_checkpoint
from leyden.resume.rehearsal import (
    VARIABLE,
    How,
    Interruption,
    Rehearsal,
    Where,
    asked_for,
    where_to_write,
)


def test_a_process_is_told_what_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interruption = Interruption(How.SIGKILL, Where.VALIDATION, 7, record=31, fraction=0.25)
    rehearsal = Rehearsal(tmp_path, 2, 60, interruption, (3, 5))
    rehearsal.save()
    assert Rehearsal.current() is None
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert Rehearsal.current() == rehearsal


def test_outside_of_a_verification_folders_are_what_they_are_called() -> None:
    assert where_to_write("some/checkpoints") == Path("some/checkpoints")


def test_checkpoints_of_a_verification_are_apart(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(workplace / "verification"))
    store = CheckpointStore("checkpoints")
    store.open()
    store.write({}, step=0, wait=True)
    store.close()
    assert not Path("checkpoints").exists()
    newest = latest_checkpoint(Path("checkpoints").absolute())  # the same folder
    assert newest is not None
    assert newest.is_relative_to(workplace / "verification" / "run")
    assert latest_checkpoint("others/checkpoints") is None
    assert str(newest.parent) in asked_for()

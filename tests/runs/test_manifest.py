"""What is known about a run."""

import json
import os
import platform
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from leyden.errors import DataError, MissingPathError
from leyden.runs import RunDir, RunManifest, RunStatus, hardware_info, read_manifest, versions


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


def fail(run: RunDir, error: BaseException) -> dict[str, object]:
    """Raise inside a run, see the exception come through, and return what was written."""
    with pytest.raises(type(error)) as caught, RunManifest(run):
        raise error
    assert caught.value is error
    return read_manifest(run.manifest_path)


def test_running_is_written_at_once(run: RunDir) -> None:
    with RunManifest(run, command=["train.py", "seed=3"], config_digest="ab", seeds={"all": 3}):
        facts = read_manifest(run.manifest_path)
    assert facts["status"] == "running"
    assert facts["command"] == ["train.py", "seed=3"]
    assert facts["config_digest"] == "ab"
    assert facts["seeds"] == {"all": 3}
    assert facts["parents"] == []
    assert facts["error"] is None
    assert facts["timings"]["end"] is None
    assert (facts["pid"], facts["host"]) == (os.getpid(), platform.node())
    assert (facts["versions"], facts["hardware"]) == (versions(), hardware_info())


def test_command_is_this_process_unless_given(run: RunDir) -> None:
    with RunManifest(run):
        assert read_manifest(run.manifest_path)["command"] == sys.argv


def test_finished_run_has_timings(run: RunDir) -> None:
    before = time.time()
    with RunManifest(run):
        pass
    facts = read_manifest(run.manifest_path)
    timings = facts["timings"]
    assert facts["status"] == "finished"
    assert before <= timings["start"] <= timings["end"] <= time.time()
    assert timings["duration"] == pytest.approx(timings["end"] - timings["start"], abs=0.1)
    assert os.listdir(run.path) == ["run.json"]  # noqa: PTH208 - and no temporary file


def test_exception_means_failed_and_comes_through(run: RunDir) -> None:
    facts = fail(run, ValueError("no such layer"))
    assert facts["status"] == "failed"
    assert facts["error"] == {"type": "ValueError", "message": "no such layer"}


def test_keyboard_interrupt_means_interrupted(run: RunDir) -> None:
    assert fail(run, KeyboardInterrupt())["status"] == "interrupted"


def test_what_lightning_makes_of_an_interrupt_means_interrupted(run: RunDir) -> None:
    error = SystemExit(1)
    error.__context__ = KeyboardInterrupt()
    assert fail(run, error)["status"] == "interrupted"


def test_what_lightning_makes_of_sigterm_means_interrupted(run: RunDir) -> None:
    assert fail(run, SIGTERMException())["status"] == "interrupted"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (None, RunStatus.FINISHED),
        (0, RunStatus.FINISHED),
        (1, RunStatus.FAILED),
        ("out of data", RunStatus.FAILED),
        (130, RunStatus.INTERRUPTED),
        (143, RunStatus.INTERRUPTED),
    ],
)
def test_exit_code_decides_the_status(
    run: RunDir, code: int | str | None, status: RunStatus
) -> None:
    facts = fail(run, SystemExit(code))
    assert facts["status"] == status
    assert (facts["error"] is not None) == (status is RunStatus.FAILED)


def test_results_are_kept_as_they_come(run: RunDir) -> None:
    with RunManifest(run) as manifest:
        manifest.add_results({"val/loss": 0.5, "val/accuracy": torch.tensor(0.75)})
        manifest.add_results({"val/loss": 0.25})
        written = read_manifest(run.manifest_path)["results"]
    assert written == {"val/loss": 0.25, "val/accuracy": 0.75}


def test_second_start_keeps_the_first(run: RunDir) -> None:
    with suppress(ValueError), RunManifest(run, command=["a"]) as manifest:
        manifest.add_results({"val/loss": 1.0})
        raise ValueError
    first = read_manifest(run.manifest_path)["timings"]
    with RunManifest(run, command=["b"]):
        pass
    facts = read_manifest(run.manifest_path)
    starts = facts["starts"]
    assert [start["command"] for start in starts] == [["a"], ["b"]]
    assert [start["status"] for start in starts] == ["failed", "finished"]
    assert (starts[0]["start"], starts[0]["end"]) == (first["start"], first["end"])
    assert starts[1]["end"] == facts["timings"]["end"]
    assert (facts["command"], facts["error"], facts["results"]) == (["b"], None, {})


def test_a_killed_start_counts_as_interrupted_afterwards(run: RunDir) -> None:
    RunManifest(run).__enter__()  # killed: nothing says how it ended
    with RunManifest(run):
        starts = read_manifest(run.manifest_path)["starts"]
    assert [start["status"] for start in starts] == ["interrupted", "running"]
    assert starts[0]["end"] is None


def test_unknown_keys_are_read_and_kept(run: RunDir) -> None:
    run.path.mkdir()
    run.manifest_path.write_text(json.dumps({"version": 9, "future": [1], "parents": ["old"]}))
    assert read_manifest(run.manifest_path)["future"] == [1]
    with RunManifest(run):
        facts = read_manifest(run.manifest_path)
    assert (facts["future"], facts["parents"], facts["version"]) == ([1], ["old"], 1)


@pytest.mark.parametrize("content", [b'{"status": "fin', b"[]", b"\xff\xfe{"])
def test_corrupt_manifest_is_an_error_with_a_remedy(run: RunDir, content: bytes) -> None:
    run.path.mkdir()
    run.manifest_path.write_bytes(content)
    message = r"Expected `manifest` to be a JSON object, but got .* in .*run\.json\. Move the file"
    with pytest.raises(DataError, match=message):
        read_manifest(run.manifest_path)
    with pytest.raises(DataError, match=message), RunManifest(run):
        pass
    assert run.manifest_path.read_bytes() == content


def test_missing_manifest_is_named(run: RunDir) -> None:
    with pytest.raises(MissingPathError, match=r"Expected `path` .*run\.json', which does not"):
        read_manifest(run.manifest_path)


def test_results_that_json_has_no_number_for_are_null(run: RunDir) -> None:
    with RunManifest(run) as manifest:
        manifest.add_results({"val/loss": float("nan"), "val/psnr": float("inf")})
    assert read_manifest(run.manifest_path)["results"] == {"val/loss": None, "val/psnr": None}


def test_what_a_start_began_with_is_kept(run: RunDir) -> None:
    for config, step in (("a.yaml", 0), ("b.yaml", 7)):
        with RunManifest(run) as manifest:
            manifest.note_start(config=config, step=step)
            running = read_manifest(run.manifest_path)["starts"][-1]
            assert (running["config"], running["step"]) == (config, step)
    starts = read_manifest(run.manifest_path)["starts"]
    assert [(start["config"], start["step"]) for start in starts] == [("a.yaml", 0), ("b.yaml", 7)]


def test_name_ends_in_the_best_value(run: RunDir) -> None:
    with RunManifest(run) as manifest:
        assert read_manifest(run.manifest_path)["name"] == "run"
        manifest.set_objective(10.5)
        assert read_manifest(run.manifest_path)["name"] == "run__min10.500"
        manifest.set_objective(0.97512, higher_is_better=True)
    assert read_manifest(run.manifest_path)["name"] == "run__max.975"

"""Runs that are on disk already, and how they stand."""

import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from leyden.errors import DataError, MissingPathError
from leyden.runs import RunDir, RunManifest, list_runs, read_run, standing

# It says that it runs, and then waits to be ended.
_WAITING = """
import os, sys
from pathlib import Path
from leyden.runs import RunDir, RunManifest
RunManifest(RunDir(Path("run"))).__enter__()
print("running", flush=True)
sys.stdin.read()
os._exit(3)
"""


def facts() -> dict[str, Any]:
    return read_run(RunDir(Path("run")))


@pytest.mark.parametrize(
    "how",
    ["SIGKILL", *(pytest.param(how, marks=pytest.mark.slow) for how in ("os._exit", "SIGSEGV"))],
)
def test_a_run_is_running_until_its_process_is_gone_whatever_ended_it(
    workplace: Path, how: str
) -> None:
    Path("run").mkdir()
    command = [sys.executable, "-c", _WAITING]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"running\n"
        assert standing(facts()) == "running"
        if how == "os._exit":
            process.stdin.close()
        else:
            process.send_signal(signal.Signals[how])
        # Not waited for yet: what is left of it has a number still.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert psutil.pid_exists(process.pid)
        assert standing(facts()) == "interrupted"
    assert facts()["status"] == "running"
    assert standing(facts()) == "interrupted"


def test_another_process_with_the_same_number_is_not_the_run(workplace: Path) -> None:
    mine = RunDir(workplace / "run")
    RunManifest(mine).__enter__()
    assert read_run(mine)["process_start"] == pytest.approx(psutil.Process().create_time())
    assert standing(read_run(mine)) == "running"
    assert standing(read_run(mine) | {"process_start": 1e9}) == "interrupted"


def test_nothing_is_guessed_about_a_run_of_another_machine(workplace: Path) -> None:
    gone = {"status": "running", "pid": 2**22 + 1, "host": platform.node()}
    assert standing(gone) == "interrupted"
    assert standing(gone | {"host": f"not {platform.node()}"}) == "running"
    assert standing(gone | {"host": f"not {platform.node()}", "status": "failed"}) == "failed"


def test_a_run_without_the_start_of_its_process_is_known_by_its_number() -> None:
    assert standing({"status": "running", "pid": os.getpid(), "host": platform.node()}) == "running"


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"status": "asleep", "timings": {"start": 0}}', '{"timings": 3}']
)
def test_a_broken_manifest_is_left_out_of_the_list_and_named(
    workplace: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    with RunManifest(RunDir(Path("good"))):
        pass
    Path("bad").mkdir()
    Path("bad/run.json").write_text(content)
    assert [run.path.name for run, _ in list_runs(Path())] == ["good"]
    (record,) = caplog.records
    assert "bad/run.json" in record.getMessage()
    with pytest.raises(DataError, match=r"Expected .* in bad/run\.json"):
        read_run(RunDir(Path("bad")))


def test_what_is_no_run_is_named(workplace: Path) -> None:
    with pytest.raises(MissingPathError, match="got 'no', which does not exist"):
        read_run(RunDir(Path("no")))
    Path("empty").mkdir()
    with pytest.raises(MissingPathError, match=r"got 'empty', which has no run\.json"):
        read_run(RunDir(Path("empty")))


def test_a_trial_and_its_code_are_marked(workplace: Path) -> None:
    run = RunDir(Path("run"))
    with RunManifest(run, debug="fast") as manifest:
        manifest.set_code({"folder": "code", "commit": "abc"})
    known = json.loads(run.manifest_path.read_text())
    assert (known["debug"], known["code"]["commit"]) == ("fast", "abc")
    assert [start["code"] for start in known["starts"]] == ["code"]
    with RunManifest(run):
        pass
    assert read_run(run)["debug"] is None
    assert read_run(run)["code"] is None


@pytest.mark.parametrize("copy", ["mlflow/3f95/artifacts", "day/one/wandb/offline-run-1/files"])
def test_what_trackers_keep_of_a_run_is_no_run(workplace: Path, copy: str) -> None:
    for folder in ("day/one", copy):
        Path(folder).mkdir(parents=True)
        with RunManifest(RunDir(Path(folder)), command=["train.py"]):
            pass
    assert [str(run.path) for run, _ in list_runs(Path())] == ["day/one"]

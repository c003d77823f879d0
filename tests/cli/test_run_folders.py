"""Folders of runs: many started at once, killed, moved elsewhere, gone on with, and trials."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from leyden.cli import main as leyden
from leyden.cli.train import main
from leyden.runs import RunDir, list_runs, read_run, snapshot_dirs

QUICK = [
    "model=mlp",
    "model.network.hidden=[4]",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=4",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
    "trainer.enable_progress_bar=false",
    "callbacks.resume.every_n_steps=2",
    "callbacks.history=null",
    "callbacks.card=null",
]
STOPPING = "+callbacks.stop={_target_:stopping.StopAt,run_dir:'${run_dir}'}"
Command = Callable[..., int]
Show = Callable[..., str]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Show:
    """Run ``leyden`` in this process, expect success, and give what it says."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["train.py"])

    def run(*arguments: str) -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["leyden", *arguments])
        with pytest.raises(SystemExit) as ended:
            leyden()
        out, err = capsys.readouterr()
        assert ended.value.code == 0, err
        return out

    return run


def only_run(folder: str) -> RunDir:
    ((run, _),) = list_runs(Path(folder))
    return run


@pytest.mark.slow
def test_eight_starts_at_once_get_eight_folders(workplace: Path) -> None:
    Path("own.py").write_text("width = 3\n")
    script = Path(__file__).parents[2] / "train.py"
    # The data is not there yet either: each of them finds it missing.
    command = [sys.executable, str(script), *QUICK, "name=same"]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(8)
    ]
    said = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0] * 8, said
    runs = list_runs(Path("runs"))
    assert len({run.path for run, _ in runs}) == 8
    assert len({facts["pid"] for _, facts in runs}) == 8
    for run, facts in runs:
        assert facts["status"] == "finished"
        assert run.metrics_path.is_file()
        assert (run.path / "code/own.py").read_text() == "width = 3\n"
        (saved,) = run.config_dir.iterdir()
        assert Path(OmegaConf.load(saved).run_dir).name == run.path.name
    assert all("runs/" in one for one in said)


def test_a_run_that_was_killed_and_moved_goes_on_where_it_is(
    command: Command, stop: Callable[..., None], show: Show
) -> None:
    stop("", step=3, signal="SIGKILL")
    assert command("train", *QUICK, STOPPING) == -signal.SIGKILL
    stop(None)
    assert read_run(only_run("runs"))["status"] == "running"
    assert "interrupted" in show("runs")
    shutil.move("runs", "elsewhere")
    path = str(only_run("elsewhere").path)
    assert "interrupted" in show("runs", "elsewhere")
    assert show("report", path).strip() == f"{path}/report.html"
    assert "interrupted" in Path(path, "report.html").read_text()
    assert command("resume", path) == 0
    assert not Path("runs").exists()
    facts = read_run(only_run("elsewhere"))
    assert [start["status"] for start in facts["starts"]] == ["interrupted", "finished"]
    saved = json.dumps([OmegaConf.to_container(OmegaConf.load(one)) for one in configs(path)[1:]])
    assert str(Path("elsewhere").absolute()) in saved
    assert str(Path("runs").absolute()) not in saved
    assert "finished" in show("runs", "elsewhere")


def configs(run: str) -> list[Path]:
    return sorted(RunDir(Path(run)).config_dir.iterdir(), key=lambda path: path.stat().st_mtime_ns)


def test_a_run_is_gone_on_with_from_a_file_and_retrained_elsewhere(
    workplace: Path, show: Show
) -> None:
    """EDflow's ``-p RUN``, ``-c FILE`` and ``-r``."""
    Path("model.py").write_text("width = 3\n")
    assert main(QUICK) == 0
    run = only_run("runs")
    Path("model.py").write_text("width = 4\n")
    best = run.checkpoints_dir / "best.ckpt"
    longer = [one for one in QUICK if "max_epochs" not in one] + ["trainer.max_epochs=2"]
    assert main([*longer, f"resume={best}"]) == 0
    facts = read_run(run)
    assert [start["status"] for start in facts["starts"]] == ["finished", "finished"]
    assert [start["code"] for start in facts["starts"]] == ["code", "code-2"]
    assert [path.name for path in snapshot_dirs(run)] == ["code", "code-2"]
    assert main([*QUICK, f"resume={run.path}", "retrain=true", "hydra.run.dir=again"]) == 0
    parents = read_run(RunDir(Path("again")))["parents"]
    assert [(Path(one["checkpoint"]).parent, one["retrain"]) for one in parents] == [
        (run.checkpoints_dir.absolute(), True)
    ]
    text = show("runs", str(run.path), "again")
    assert "trainer.max_epochs" in text
    assert "The code is the same." in text


def test_a_trial_stays_one_when_it_goes_on(workplace: Path, show: Show) -> None:
    trial = ["debug=limit", "trainer.max_epochs=1", *QUICK[:2], *QUICK[6:]]
    assert main([*trial, "hydra.run.dir=runs/day/trial"]) == 0
    assert main([*QUICK, "hydra.run.dir=runs/day/real"]) == 0
    assert show("resume", "runs/day/trial", "trainer.max_epochs=2")
    assert read_run(RunDir(Path("runs/day/trial")))["debug"] == "limit"
    text = show("runs")
    assert "day/real" in text
    assert "day/trial" not in text
    assert "a trial not shown; --all does." in text
    assert "day/trial" in show("runs", "--all")


@pytest.mark.parametrize(
    "places",
    [
        ["runs_dir=rows.csv/runs"],
        ["hydra.run.dir=rows.csv/run"],
        ["hydra.run.dir=rows.csv"],
        [f"hydra.run.dir={'x' * 300}"],
        ["runs_dir=/proc/leyden/runs"],
        ["-m", "seed=1,2", "runs_dir=rows.csv/runs"],
        ["-m", "seed=1,2", "hydra.sweep.dir=rows.csv/runs"],
    ],
)
def test_a_place_where_no_run_can_be_is_told_in_a_line(
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    places: list[str],
) -> None:
    Path("rows.csv").write_text("a\n1\n")
    monkeypatch.setattr(sys, "argv", ["leyden", "train", *QUICK, *places])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit) as ended:
        leyden()
    _, err = capsys.readouterr()
    assert ended.value.code == 2
    assert err.startswith("Expected a place that can be written to, but got '")
    assert err.count("\n") == 1
    assert Path("rows.csv").read_text() == "a\n1\n"

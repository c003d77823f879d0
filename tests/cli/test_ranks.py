"""Runs on two real processes: what they come to, how they end, and that they all end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from lightning import Trainer
from omegaconf import OmegaConf

from leyden.cli.ranks import RankTask, given_ranks, num_ranks
from leyden.cli.start import Origin
from leyden.cli.train import main
from leyden.errors import ConfigError
from leyden.evaluation import list_evaluations
from leyden.resume import latest_checkpoint, load
from leyden.runs import RunDir, read_manifest
from leyden.tracking import read_metrics

TINY = [
    "model=mlp",
    "~model.network",
    "+model.network={type:plain_network.plain}",
    "optimizer=sgd",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=6",
    "trainer.enable_progress_bar=false",
    "callbacks.resume.every_n_steps=3",
    "callbacks.resume.every_seconds=null",
    "callbacks.history=null",
    "callbacks.card=null",
    "+callbacks.stop={_target_:stopping.StopAt,run_dir:'${run_dir}'}",
]
TWO = ["trainer=ddp_cpu", "data.batch_size=16"]
Command = Callable[..., int]


@pytest.fixture(autouse=True)
def arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)


def runs() -> list[RunDir]:
    paths = [path.parent for path in Path("runs").rglob("run.json")]
    return [RunDir(path) for path in sorted(paths, key=lambda path: path.stat().st_ctime)]


def weights(run: RunDir) -> dict[str, torch.Tensor]:
    path = latest_checkpoint(run.checkpoints_dir)
    assert path is not None
    state: dict[str, torch.Tensor] = load(path)["state_dict"]
    return state


def processes_on(workplace: Path) -> list[psutil.Process]:
    """The processes of runs below a folder, wherever they are started from."""
    found = []
    for process in psutil.process_iter():
        try:
            is_rank = "leyden.cli.ranks" in process.cmdline() and process.cwd() == str(workplace)
        except psutil.Error:
            continue
        if is_rank and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def config_of(**trainer: Any) -> Any:
    return OmegaConf.create({"trainer": trainer})


def test_only_several_processes_of_this_machine_are_ours() -> None:
    assert given_ranks(config_of(devices=1)) == {}
    assert given_ranks(config_of(devices=2, num_nodes=2)) == {}
    assert given_ranks(config_of(devices=2, plugins=["mine"])) == {}
    quiet: dict[str, Any] = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    chosen = given_ranks(config_of(devices=2, strategy="ddp"))
    trainer = Trainer(devices=2, strategy="ddp", **quiet, **chosen)  # type: ignore[arg-type]
    assert num_ranks(trainer) == 2
    assert num_ranks(Trainer(devices=2, strategy="ddp", **quiet)) == 1
    assert num_ranks(Trainer(devices=1, **quiet)) == 1


def test_processes_of_torchrun_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    with pytest.raises(ConfigError, match=r"started once, but it was started by `torchrun`"):
        given_ranks(config_of(devices=1))


def test_a_task_tells_what_to_train_and_what_came_out(tmp_path: Path) -> None:
    task, origin = RankTask(tmp_path), Origin(tmp_path / "a.ckpt", RunDir(tmp_path / "run"))
    config = {"data": {"class_weights": {0: 1.0, 1: 5.0}}, "name": "x"}
    task.write(config, origin)
    read: Any = task.read()
    assert read == (config, origin)
    task.write(config, None)
    read = task.read()
    assert read == (config, None)
    assert (task.read_outcome(), task.read_error(0)) == ({}, None)
    task.write_outcome({"objective": 0.5})
    assert task.read_outcome() == {"objective": 0.5}
    for rank, error in enumerate([ConfigError("a slip"), KeyError("a bug")]):
        task.write_error(rank, error, float(rank))
    slip, bug = task.read_error(0), task.read_error(1)
    assert slip is not None
    assert bug is not None
    assert (slip.is_slip, slip.text) == (True, "a slip")
    assert (bug.is_slip, bug.kind) == (False, "KeyError")
    assert bug.text.endswith("KeyError: 'a bug'\n")
    assert (slip.time, bug.time) == (0.0, 1.0)


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one_with_twice_the_batch(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*TINY, "data.batch_size=32"]) == 0
    assert main([*TINY, *TWO]) == 0
    one, two = runs()
    alone, together = weights(one), weights(two)
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value)
    facts = read_manifest(two.manifest_path)
    expected = read_manifest(one.manifest_path)["results"]
    assert facts["status"] == "finished"
    # Rows of validation and test are counted once each, and what was logged is of all processes.
    assert facts["results"] == pytest.approx(expected, rel=1e-4)
    assert facts["objective"] == pytest.approx(facts["results"]["val/loss"])
    steps, _ = read_metrics(two.metrics_path)["train/loss"]
    assert len(steps) == len(set(steps))
    assert len(list(two.config_dir.iterdir())) == 1
    assert len(list(Path("runs").rglob("run.json"))) == 2
    assert capsys.readouterr().out.count("run folder") == 2
    assert processes_on(workplace) == []


@pytest.mark.slow
def test_one_process_evaluates_what_two_have_trained(workplace: Path, command: Command) -> None:
    assert command("train", *TINY, *TWO) == 0
    (run,) = runs()
    assert command("report", str(run.path)) == 0
    assert command("evaluate", str(run.path)) == 0
    (found,) = list_evaluations(run.path)
    results = read_manifest(run.manifest_path)["results"]
    assert found.metrics["accuracy"] == pytest.approx(results["test/accuracy"], rel=1e-6)
    assert found.metrics["log_loss"] == pytest.approx(results["test/loss"], rel=1e-4)
    places = list(zip(found.records["set_number"], found.records["row"], strict=True))
    assert len(set(places)) == len(places)
    assert found.path.parent.name in run.page_path.read_text()
    assert command("evaluate", str(run.path), "trainer=ddp_cpu") == 2
    assert processes_on(workplace) == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["resume RUN", "resume=auto"])
def test_a_process_that_is_killed_ends_all_and_the_run_goes_on_bit_for_bit(
    how: str,
    workplace: Path,
    command: Command,
    stop: Callable[..., None],
) -> None:
    assert command("train", *TINY, *TWO) == 0
    (whole,) = runs()
    stop("", step=5, signal="SIGKILL", rank=1)
    assert command("train", *TINY, *TWO) == 1
    (_, cut) = runs()
    facts = read_manifest(cut.manifest_path)
    assert facts["status"] == "failed"
    assert "process 1 of 2 was ended by SIGKILL" in facts["error"]["message"]
    assert processes_on(workplace) == []
    stop(None)
    if how == "resume=auto":
        assert command("train", *TINY, *TWO, how) == 0
    else:
        assert command("resume", str(cut.path)) == 0
    assert len(runs()) == 2
    assert all(torch.equal(weights(cut)[name], value) for name, value in weights(whole).items())
    assert cut.metrics_path.read_bytes() == whole.metrics_path.read_bytes()
    results = [read_manifest(run.manifest_path)["results"] for run in (cut, whole)]
    assert results[0] == results[1]


def start(workplace: Path) -> "subprocess.Popen[bytes]":
    """Start a long run, and wait until both processes are training."""
    long = [part for part in TINY if "epochs" not in part and "stopping" not in part]
    script = Path(__file__).parents[2] / "train.py"
    overrides = [*long, *TWO, "trainer.max_epochs=100000"]
    known = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, known))}
    process = subprocess.Popen([sys.executable, str(script), *overrides], env=environment)
    while not list(workplace.rglob("batches.parquet")):
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)
    assert len(processes_on(workplace)) == 2
    return process


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_processes_with_a_checkpoint(
    workplace: Path, number: signal.Signals
) -> None:
    process = start(workplace)
    process.send_signal(number)
    assert process.wait(timeout=120) == 128 + number
    (run,) = runs()
    assert read_manifest(run.manifest_path)["status"] == "interrupted"
    assert latest_checkpoint(run.checkpoints_dir) is not None
    assert processes_on(workplace) == []


@pytest.mark.slow
def test_no_process_outlives_the_one_that_started_it(workplace: Path) -> None:
    process = start(workplace)
    ranks = processes_on(workplace)
    process.kill()
    process.wait()
    psutil.wait_procs(ranks, timeout=60)
    assert processes_on(workplace) == []


@pytest.mark.slow
def test_jobs_of_a_sweep_have_their_processes_and_one_that_fails_leaves_the_others_alone(
    workplace: Path, stop: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    stop("0-", step=5, error="out of luck", rank=1)
    jobs = ["-m", *TINY, *TWO, "seed=1,2"]
    assert main(jobs) == 1
    printed = capsys.readouterr().err
    assert "RuntimeError: out of luck" in printed
    assert "job 0 failed: process 1 of 2 failed: RuntimeError: out of luck" in printed
    assert "Connection closed by peer" not in printed  # which is what it was for the others
    (sweep,) = [path.parent for path in Path("runs").rglob("sweep.json")]
    first, second = sorted(sweep.glob("*/run.json"))
    facts = [json.loads(path.read_text()) for path in (first, second)]
    assert [one["status"] for one in facts] == ["failed", "finished"]
    assert [one["seeds"] for one in facts] == [{"all": 1}, {"all": 2}]
    stop(None)
    assert main(jobs) == 0
    again = json.loads(first.read_text())
    assert (again["status"], len(again["starts"])) == ("finished", 2)
    assert processes_on(workplace) == []


@pytest.mark.slow
def test_a_slip_of_the_processes_is_one_line(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*TINY, *TWO, "trainer.max_epochs=-1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Expected a run of a known number of epochs for the scheduler's 'auto'")

"""Sweeps that are broken off, gone on with, and come to what they would have come to."""

import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from leyden.cli.sweep import open_sweep, take_open_sweep
from leyden.cli.sweep_results import JobResult, differing
from leyden.cli.train import main
from leyden.errors import ConfigError, ResumeError
from leyden.resume import latest_checkpoint, load
from leyden.runs import RunDir, RunManifest, RunStatus, read_manifest
from leyden.tracking import read_metrics

TINY = [
    "model=mlp",
    "model.network.hidden=[8]",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=4",
    "trainer.limit_val_batches=2",
    "trainer.limit_test_batches=1",
    "trainer.enable_progress_bar=false",
    "callbacks.resume.every_n_steps=3",
    "callbacks.resume.every_seconds=null",
    "callbacks.history=null",
    "+callbacks.stop={_target_:stopping.StopAt,run_dir:'${run_dir}'}",
]
GRID = ["-m", *TINY, "seed=1,2,3"]
SEARCH = [*TINY, "sweep=optuna", "hydra.sweeper.n_trials=4"]
SEARCH += ["hydra.sweeper.sampler.n_startup_trials=2", "optimizer.lr=interval(0.001,0.1)"]
Command = Callable[..., int]


@pytest.fixture(autouse=True)
def arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)


def sweeps() -> list[Path]:
    return sorted((path.parent for path in Path("runs").rglob("sweep.json")), key=begun)


def begun(sweep: Path) -> float:
    return float(json.loads((sweep / "sweep.json").read_text())["begun"])


def job_of(sweep: Path, number: int) -> Path:
    (run,) = sweep.glob(f"{number}-*")
    return run


def facts_of(run: Path) -> dict[str, Any]:
    return read_manifest(RunDir(run).manifest_path)


def rows_of(sweep: Path) -> list[dict[str, str]]:
    """The rows of ``sweep.csv``, without how long things took."""
    with (sweep / "sweep.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def num_starts(sweep: Path) -> list[int]:
    return [len(facts_of(path.parent)["starts"]) for path in sorted(sweep.glob("*/run.json"))]


def assert_same_sweep(one: Path, other: Path) -> None:
    """Compare what came out of two sweeps: results, weights and metrics of every job."""
    assert rows_of(one) == rows_of(other)
    names = [path.parent.name for path in sorted(one.glob("*/run.json"))]
    assert names == [path.parent.name for path in sorted(other.glob("*/run.json"))]
    for name in names:
        first, second = (latest_checkpoint(RunDir(s / name).checkpoints_dir) for s in (one, other))
        assert first is not None
        assert second is not None
        weights = [load(path)["state_dict"] for path in (first, second)]
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
        metrics = [RunDir(sweep / name).metrics_path.read_bytes() for sweep in (one, other)]
        assert metrics[0] == metrics[1]
        assert facts_of(one / name)["results"] == facts_of(other / name)["results"]


@pytest.mark.slow
def test_a_sweep_killed_in_a_job_goes_on_bit_for_bit(
    command: Command, stop: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    stop("1-", step=5, signal="SIGKILL")
    assert command("train", *GRID) == -signal.SIGKILL
    stop(None)
    (cut,) = sweeps()
    assert [facts_of(job_of(cut, n))["status"] for n in (0, 1)] == ["finished", "running"]
    assert main(GRID) == 0
    printed = capsys.readouterr()
    assert f"going on with the sweep in {cut}" in printed.err
    assert num_starts(cut) == [1, 2, 1]
    assert main([*GRID, "resume=never"]) == 0
    (_, whole) = sweeps()
    assert_same_sweep(cut, whole)
    assert main(GRID) == 0  # goes on with the newer of the two, and there is nothing left to do
    assert [num_starts(sweep) for sweep in sweeps()] == [[1, 2, 1], [1, 1, 1]]


def test_a_sweep_ends_with_a_table_and_the_best_job(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(GRID) == 0
    (sweep,) = sweeps()
    rows, printed = rows_of(sweep), capsys.readouterr().out
    objectives = [float(row["objective"]) for row in rows]
    runs = [facts_of(sweep / row["run"]) for row in rows]
    assert objectives == [facts["objective"] for facts in runs]
    assert [row["status"] for row in rows] == ["finished"] * 3
    assert [row["overrides"].split()[-1] for row in rows] == ["seed=1", "seed=2", "seed=3"]
    best = objectives.index(min(objectives))
    assert f"best: job {best}, {min(objectives):.6g}, seed={best + 1}, {sweep}" in printed
    assert f"picture: {sweep}/sweep.png" in printed
    assert (sweep / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_has_an_axis_for_each_key_in_which_jobs_differ() -> None:
    def job(number: int, *overrides: str) -> JobResult:
        run = RunDir(Path(str(number)))
        return JobResult(number, overrides, run, RunStatus.FINISHED, 0.5, 1.0)

    jobs = [job(0, "model=cnn", "seed=1", "+a.b=x"), job(1, "model=cnn", "seed=2")]
    assert differing(jobs) == [{"seed": "1", "a.b": "x"}, {"seed": "2", "a.b": "default"}]
    assert differing(jobs[:1]) == [{}]


def test_an_interrupted_sweep_begins_no_other_job(
    command: Command, stop: Callable[..., None]
) -> None:
    stop("0-", step=2, signal="SIGTERM")
    assert command("train", *GRID) == 143
    (sweep,) = sweeps()
    assert facts_of(job_of(sweep, 0))["status"] == "interrupted"
    assert not list(sweep.glob("1-*"))


@pytest.mark.slow
def test_a_job_that_fails_leaves_the_others_alone_and_is_tried_again(
    workplace: Path, stop: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    stop("1-", step=5, error="out of luck")
    assert main(GRID) == 1
    (sweep,) = sweeps()
    assert [row["status"] for row in rows_of(sweep)] == ["finished", "failed", "finished"]
    assert facts_of(job_of(sweep, 1))["error"]["message"] == "out of luck"
    stop(None)
    assert main(GRID) == 0
    assert [row["status"] for row in rows_of(sweep)] == ["finished"] * 3
    assert num_starts(sweep) == [1, 2, 1]


def test_a_slip_in_a_job_is_a_line_and_a_failed_job(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-m", *TINY, "data.shuffle=rowz,rows"]) == 1
    (sweep,) = sweeps()
    assert [row["status"] for row in rows_of(sweep)] == ["failed", "finished"]
    assert (
        "job 0 failed: Expected `data.shuffle` to be the name of a shuffle"
        in capsys.readouterr().err
    )


def test_another_command_is_another_sweep(workplace: Path) -> None:
    one = ["-m", *TINY, "debug=fast", "seed=1"]
    for overrides in (one, [*one[:-1], "seed=2"], one):
        assert main(overrides) == 0
    assert len(sweeps()) == 2


@pytest.mark.slow
def test_a_search_killed_in_a_trial_asks_for_the_same_trials(
    command: Command, stop: Callable[..., None]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    stop("2-", step=5, signal="SIGKILL")
    assert command("train", *SEARCH) == -signal.SIGKILL
    stop(None)
    (cut,) = sweeps()
    assert command("train", *SEARCH) == 0
    assert command("train", *SEARCH, "resume=never") == 0
    (_, whole) = sweeps()
    assert_same_sweep(cut, whole)
    assert num_starts(cut) == [1, 1, 2, 1]
    best = [(sweep / "optimization_results.yaml").read_bytes() for sweep in (cut, whole)]
    assert best[0] == best[1]


@pytest.mark.slow
def test_a_search_whose_trials_all_fail_ends_with_a_table(
    command: Command, stop: Callable[..., None]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    stop("", step=2, error="out of luck")
    assert command("train", *SEARCH) == 1
    (sweep,) = sweeps()
    assert [row["status"] for row in rows_of(sweep)] == ["failed"] * 4


@pytest.mark.slow
def test_jobs_in_processes_of_their_own_go_on_bit_for_bit(
    workplace: Path, stop: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: str) -> int:
        return subprocess.run([sys.executable, str(script), *arguments], check=False).returncode

    script = Path(__file__).parents[2] / "train.py"
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    jobs = [*TINY, "sweep=joblib", "seed=1,2"]
    stop("1-", step=5, signal="SIGKILL")  # of the worker; its end ends the sweep
    assert run(*jobs) == 1
    stop(None)
    (cut,) = sweeps()
    assert run(*jobs) == 0
    assert run(*jobs, "resume=never") == 0
    (_, whole) = sweeps()
    assert_same_sweep(cut, whole)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow's database
def test_jobs_at_once_have_all_of_their_metrics_in_one_file_of_mlflow(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    mlflow = pytest.importorskip("mlflow")
    script = Path(__file__).parents[2] / "train.py"
    known = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, known)))
    jobs = [*TINY, "sweep=joblib", "hydra.launcher.n_jobs=4", "seed=1,2,3,4", "tracking=mlflow"]
    done = subprocess.run(
        [sys.executable, str(script), *jobs], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "did not" not in done.stderr
    (sweep,) = sweeps()
    client = mlflow.MlflowClient("sqlite:///runs/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'leyden'")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    folders = {path.parent.name: path.parent for path in sweep.glob("*/run.json")}
    assert runs.keys() == folders.keys()
    assert len(runs) == 4
    for name, folder in folders.items():
        assert runs[name].info.status == "FINISHED"
        for metric, (steps, values) in read_metrics(folder / "metrics.csv").items():
            kept = client.get_metric_history(runs[name].info.run_id, metric)
            expected = sorted(zip(steps.tolist(), values.tolist(), strict=True))
            assert sorted((one.step, one.value) for one in kept) == expected


@pytest.mark.slow
def test_jobs_of_submitit_go_on_bit_for_bit(
    workplace: Path, stop: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    known = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, known)))
    jobs = [*TINY, "sweep=submitit", "seed=1,2"]
    stop("1-", step=5, error="out of luck")
    assert main(jobs) == 1
    (cut,) = sweeps()
    assert [row["status"] for row in rows_of(cut)] == ["finished", "failed"]
    assert len(list((cut / "submitit").glob("*/*_log.out"))) == 2  # each in a process of its own
    stop(None)
    assert main(jobs) == 0
    assert num_starts(cut) == [1, 2]
    assert main([*jobs, "resume=never"]) == 0
    (_, whole) = sweeps()
    assert_same_sweep(cut, whole)
    assert (cut / "sweep.png").is_file()


@pytest.mark.slow
def test_a_search_sees_the_objective_that_train_returns(command: Command) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    assert command("train", *SEARCH) == 0
    (sweep,) = sweeps()
    best = OmegaConf.load(sweep / "optimization_results.yaml")
    objectives = [float(row["objective"]) for row in rows_of(sweep)]
    assert len(objectives) == 4
    assert best.best_value == min(objectives)
    (row,) = [row for row in rows_of(sweep) if float(row["objective"]) == best.best_value]
    assert f"optimizer.lr={best.best_params['optimizer.lr']}" in row["overrides"]
    assert (sweep / "sweep.png").is_file()


def test_a_job_has_the_folder_of_its_configuration(workplace: Path) -> None:
    sweep = open_sweep(Path("runs"), ["a=1,2"], make=lambda: Path("runs/day/one"))
    names = []
    for number, digest in ((0, "x"), (1, "y"), (0, "z"), (1, "x")):
        run = sweep.claim(number, [], digest, sweep.path / f"{number}-job")
        with RunManifest(run, config_digest=digest):
            names.append(run.path.name)
    # The third is another configuration under a number that is taken; the last was job 0.
    assert names == ["0-job", "1-job", "0-job-2", "0-job"]
    sweep.close()
    take_open_sweep()


def test_a_sweep_is_gone_on_with_by_one_process_at_a_time(workplace: Path) -> None:
    first = open_sweep(Path("runs"), ["a=1"], make=lambda: Path("runs/day/one"))
    with pytest.raises(ResumeError, match=r"to be written by one run at a time"):
        open_sweep(Path("runs"), ["a=1"], make=lambda: Path("runs/day/two"))
    first.close()
    again = open_sweep(Path("runs"), ["a=1"], make=lambda: Path("runs/day/two"))
    assert (again.path, again.is_continued) == (first.path, True)
    again.close()


def test_of_many_that_start_at_once_one_begins_the_sweep(workplace: Path) -> None:
    context = multiprocessing.get_context("fork")
    results: Any = context.Queue()

    def start(number: int) -> None:
        try:
            sweep = open_sweep(Path("runs"), ["a"], make=lambda: Path(f"runs/day/{number}"))
        except ResumeError:
            results.put("refused")
        else:
            results.put(str(sweep.path))
            results.close()
            results.join_thread()
            signal.pause()  # holds it until it is killed

    processes = [context.Process(target=start, args=(number,)) for number in range(6)]
    for process in processes:
        process.start()
    answers = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.kill()
        process.join()
    assert answers.count("refused") == 5
    assert len(sweeps()) == 1


def test_a_folder_that_was_chosen_holds_one_sweep(workplace: Path) -> None:
    chosen = Path("mine")

    def begin(overrides: list[str], *, begins_anew: bool = False) -> None:
        sweep = open_sweep(
            Path("runs"), overrides, make=lambda: chosen, fixed=chosen, begins_anew=begins_anew
        )
        sweep.close()

    begin(["a=1"])
    begin(["a=1"])
    with pytest.raises(ConfigError, match=r"to hold this sweep, but got 'mine', which holds anoth"):
        begin(["a=2"])
    with pytest.raises(
        ConfigError, match=r"to be a new folder with `resume=never`, but got 'mine'"
    ):
        begin(["a=1"], begins_anew=True)


def test_a_damaged_description_of_a_sweep_is_left_out_and_named(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("runs/day/old").mkdir(parents=True)
    Path("runs/day/old/sweep.json").write_text('{"version": 1')
    sweep = open_sweep(Path("runs"), ["a=1"], make=lambda: Path("runs/day/new"))
    sweep.close()
    assert not sweep.is_continued
    assert "Expected 'runs/day/old/sweep.json' to describe a sweep" in capsys.readouterr().err

"""``tracking=``: where the results of a run from a configuration go."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from read_back import mlflow_metrics, tensorboard_scalars, wandb_metrics

from leyden.cli.train import main
from leyden.runs import RunDir, read_manifest
from leyden.tracking import read_metrics

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow's database

TINY = [
    "model=mlp",
    "model.network.hidden=[8]",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=5",
    "trainer.limit_val_batches=2",
    "trainer.limit_test_batches=1",
    "trainer.enable_progress_bar=false",
    "callbacks.resume.every_n_steps=3",
    "callbacks.resume.every_seconds=null",
]
STOPPING = "+callbacks.stop={_target_:stopping.StopAt,run_dir:'${run_dir}'}"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    for name in ("HYDRA_FULL_ERROR", "MLFLOW_TRACKING_URI", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """What ``metrics.csv`` has, metric by metric."""
    found = read_metrics(run / "metrics.csv")
    return {
        name: list(zip(steps.tolist(), values.tolist(), strict=True))
        for name, (steps, values) in sorted(found.items())
    }


def in_order(stored: dict[str, Any]) -> dict[str, list[tuple[int, float]]]:
    return {name: [(step, float(value)) for step, value in stored[name]] for name in sorted(stored)}


def as_float32(stored: dict[str, list[tuple[int, float]]]) -> dict[str, list[tuple[int, float]]]:
    return {
        name: [(step, float(np.float32(value))) for step, value in rows]
        for name, rows in stored.items()
    }


def test_trackers_are_chosen_by_name_and_together(workplace: Path) -> None:
    pytest.importorskip("tensorboard")
    assert main([*TINY, "tracking=[tensorboard,csv]", "trainer.max_epochs=1"]) == 0
    (run,) = Path("runs").glob("*/*")
    stored = tensorboard_scalars(run / "tensorboard")
    assert in_order(stored) == as_float32(curves(run))
    assert {"train/loss", "val/loss", "test/loss"} <= stored.keys()


def test_a_tracker_that_is_not_installed_is_told_before_anything_is_trained(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert main([*TINY, "tracking=mlflow"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Expected the package `mlflow` to be installed for the tracker 'mlflow'")
    assert line.endswith("Run `pip install leyden[mlflow]`.")
    assert not list(Path("runs").glob("*/*"))


def test_a_tracker_that_does_not_exist_is_told(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tracking=mlflw"]) == 2
    assert "Did you mean 'mlflow'?" in capsys.readouterr().err


@pytest.mark.slow
def test_all_trackers_of_a_killed_run_go_on_in_it(
    workplace: Path, command: Callable[..., int], stop: Callable[..., None]
) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("tensorboard")
    options = [*TINY, STOPPING, "tracking=all"]
    assert command("train", *options, "name=whole") == 0
    stop("", step=8, signal="SIGKILL")  # two steps after the checkpoint
    assert command("train", *options, "name=cut") == -signal.SIGKILL
    stop(None)
    (cut,), (whole,) = Path("runs").glob("*/*-cut"), Path("runs").glob("*/*-whole")
    assert command("resume", str(cut)) == 0
    assert read_manifest(RunDir(cut).manifest_path)["status"] == "finished"
    assert (cut / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    for run in (whole, cut):
        assert in_order(tensorboard_scalars(run / "tensorboard")) == as_float32(curves(run))

    assert_mlflow_has(workplace / "runs", cut, whole)
    assert_wandb_has(cut)


def assert_mlflow_has(runs_dir: Path, cut: Path, whole: Path) -> None:
    client = pytest.importorskip("mlflow").MlflowClient(f"sqlite:///{runs_dir / 'mlflow.db'}")
    kept = client.search_runs([client.get_experiment_by_name("leyden").experiment_id])
    runs = {run.info.run_name: run for run in kept}
    assert runs.keys() == {cut.name, whole.name}  # none was begun beside them
    for folder in (cut, whole):
        found = runs[folder.name]
        assert found.info.status == "FINISHED"
        stored = in_order(mlflow_metrics(client, found.info.run_id))
        # Where rows were made again, the first of them has the time.
        assert {name: sorted(rows) for name, rows in stored.items()} == {
            name: sorted(rows) for name, rows in curves(folder).items()
        }
        assert found.data.params["trainer/max_epochs"] == "2"
        files = {path.name for path in Path("runs/mlflow", found.info.run_id).rglob("*.*")}
        assert {"report.html", "card.png", "metrics.csv", "run.json", "best.ckpt"} <= files


def assert_wandb_has(cut: Path) -> None:
    folders = sorted((cut / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    assert len({folder.name.rpartition("-")[2] for folder in folders}) == 1  # the identity
    after = wandb_metrics(folders[1])
    begins = min(step for step, _ in after["train/loss"])
    for name, rows in curves(cut).items():
        made_again = [row for row in rows if row[0] >= begins]
        assert in_order(after).get(name, []) == made_again
    # The killed process may have kept fewer rows, as the guide says, but none that were not logged.
    for name, rows in in_order(wandb_metrics(folders[0])).items():
        assert set(rows) <= set(curves(cut)[name])

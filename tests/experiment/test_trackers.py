import csv
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger, Logger

from leyden.errors import ConfigError, MissingExtraError
from leyden.experiment import TRACKERS, Tracking
from leyden.experiment.trackers import tracking_run

MODEL, TRAINING = {"filters": [4]}, {"epochs": 3}


def run(tracking: Tracking, *, fails: bool = False) -> list[Logger]:
    """Log one number to every tracker that is to have it."""
    with tracking_run(tracking, model_params=MODEL, training_params=TRAINING) as loggers:
        for logger in loggers:
            logger.log_metrics({"val/loss": 0.5, "epoch": 0}, step=2)
        if fails:
            raise RuntimeError("no luck")
    return loggers


def test_csv_has_metrics_and_parameters(tmp_path: Path) -> None:
    tags = {"who": "me"}
    run(Tracking("first", tags, trackers=[{"type": "csv"}], tracking_dir=tmp_path))
    with (tmp_path / "csv" / "first" / "metrics.csv").open() as file:
        assert list(csv.DictReader(file)) == [{"epoch": "0", "step": "2", "val/loss": "0.5"}]
    params = json.loads((tmp_path / "csv" / "first" / "config" / "params.json").read_text())
    assert params == {**MODEL, **TRAINING, "tags": tags}


def test_csv_keeps_the_code_that_was_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "train.py").write_text("print('mine')\n")
    monkeypatch.chdir(project)
    run(Tracking("one", trackers=["csv"]))
    run(Tracking("two", trackers=["csv"], code_dir=None))
    folder = project / "trackings" / "csv"
    assert (folder / "one/code/train.py").read_text() == "print('mine')\n"
    assert {path.name for path in (folder / "one/code").iterdir()} == {"train.py", "commit.json"}
    assert not (folder / "two/code").exists()


@pytest.mark.parametrize(
    ("flags", "params"),
    [
        ({"log_model_params": False}, TRAINING),
        ({"log_params": False, "log_training_params": False}, None),
        ({"log_training_params": False}, MODEL),
    ],
)
def test_parameters_are_told_as_the_flags_say(tmp_path: Path, flags: Any, params: Any) -> None:
    run(Tracking("one", trackers=["csv"], tracking_dir=tmp_path, **flags))
    path = tmp_path / "csv" / "one" / "config" / "params.json"
    assert (json.loads(path.read_text()) if path.exists() else None) == params


def test_without_log_metrics_trackers_have_none(tmp_path: Path) -> None:
    assert run(Tracking("one", trackers=["csv"], tracking_dir=tmp_path, log_metrics=False)) == []
    assert not (tmp_path / "csv" / "one" / "metrics.csv").exists()


def test_each_training_is_a_run_of_its_own(tmp_path: Path) -> None:
    tracking = Tracking(trackers=["csv"], tracking_dir=tmp_path)
    run(tracking)
    run(tracking)
    assert len(list((tmp_path / "csv").iterdir())) == 2


def test_tensorboard_is_written(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(Tracking("one", trackers=[{"type": "tensorboard"}], tracking_dir=tmp_path))
    found = events.EventAccumulator(str(tmp_path / "tensorboard" / "one")).Reload()
    assert [(event.step, event.value) for event in found.Scalars("val/loss")] == [(2, 0.5)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("fails", "status"), [(False, "FINISHED"), (True, "FAILED")])
def test_mlflow_is_written_to_sqlite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow_db: Path, fails: bool, status: str
) -> None:
    mlflow = pytest.importorskip("mlflow")
    shutil.copy(mlflow_db, tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracker = {"type": "mlflow", "experiment_name": "some"}
    tracking = Tracking("one", {"who": "me"}, trackers=[tracker], tracking_dir=tmp_path)
    try:
        run(tracking, fails=fails)
    except RuntimeError:
        assert fails
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("some").experiment_id])
    assert (found.info.run_name, found.info.status) == ("one", status)
    assert found.data.params["epochs"] == "3"
    assert found.data.tags["who"] == "me"
    assert [
        (m.step, m.value) for m in client.get_metric_history(found.info.run_id, "val/loss")
    ] == [(2, 0.5)]


def test_wandb_is_written_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    tracker = {"type": "wandb", "offline": True}
    run(Tracking("one", trackers=[tracker], tracking_dir=tmp_path))
    run(Tracking("two", {"who": "me"}, trackers=[tracker], tracking_dir=tmp_path))
    assert len(list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))) == 2
    assert wandb.run is None


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"`{name}` to be .* for the tracker '{name}'"):
        run(Tracking(trackers=[{"type": name}], tracking_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_every_name_is_tested_here() -> None:
    assert set(TRACKERS) == {"csv", "mlflow", "tensorboard", "wandb"}


def test_any_lightning_logger_is_a_tracker(tmp_path: Path) -> None:
    path = "lightning.pytorch.loggers.CSVLogger"
    told = {"type": path, "save_dir": str(tmp_path / "a"), "name": "some", "version": "1"}
    made = CSVLogger(tmp_path / "b", name="some", version="1")
    loggers = run(Tracking(trackers=[told, made]))
    assert loggers[1] is made
    assert len(list(tmp_path.rglob("metrics.csv"))) == 2


@pytest.mark.parametrize(
    ("tracker", "problem"),
    [
        ({"type": "mlflw"}, r"but got 'mlflw'. Did you mean 'mlflow'\?"),
        ({"type": "fractions.Fraction"}, "`trackers` to be Lightning loggers, but got Fraction of"),
        ({"type": "csv", "floder": 1}, "arguments that csv takes, but got"),
    ],
)
def test_trackers_that_there_are_not_are_refused(tracker: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        run(Tracking(trackers=[tracker]))

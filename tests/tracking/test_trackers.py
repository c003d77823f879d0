"""What a tracker has kept, read by its own library, is what ``metrics.csv`` has."""

import json
import math
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel, RandomDataset
from lightning.pytorch.loggers import Logger
from read_back import (
    Stored,
    mlflow_metrics,
    tensorboard_events,
    tensorboard_scalars,
    wandb_metrics,
    wandb_records,
    wandb_rows,
)
from typing_extensions import override

from leyden.callbacks import HistoryFigure, RunCard
from leyden.errors import ConfigError, MissingExtraError
from leyden.tracking import (
    FileLogger,
    MLflowTracker,
    TensorBoardTracker,
    WandbTracker,
    ending,
    log_file,
    read_metrics,
    send_metrics,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow's database

PARAMS = {"model": {"type": "cnn", "filters": [8, 16], "bias": True}, "seed": 0, "lr": 0.1}


class Logging(BoringModel):
    """Logs by step and by epoch, and once what is no number."""

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        output: Any = super().training_step(batch, batch_idx)
        self.log("train/loss", output["loss"])
        self.log("train/odd", math.nan if batch_idx == 1 else 1 / 3)
        return output

    @override
    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        self.log("val/loss", self(batch).mean())

    @override
    def train_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(RandomDataset(32, 4))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's keys and servers."""
    for name in ("MLFLOW_TRACKING_URI", "WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "settings"))


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "one"


@pytest.fixture
def train(run_dir: Path) -> Callable[..., None]:
    """Train with a tracker beside ``metrics.csv``, as a run from a configuration does."""

    def fit(tracker: Logger, *, checkpoints: bool = False) -> None:
        torch.manual_seed(0)
        callbacks: list[Any] = [RunCard(every_seconds=1e9), HistoryFigure(every_seconds=1e9)]
        if checkpoints:
            callbacks.append(ModelCheckpoint(run_dir / "checkpoints", filename="best"))
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=2,
            limit_val_batches=1,
            log_every_n_steps=1,
            logger=[FileLogger(run_dir), tracker],
            callbacks=callbacks,
            enable_checkpointing=checkpoints,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        with ending(trainer.loggers):
            tracker.log_hyperparams(PARAMS)
            trainer.fit(Logging())
            log_file(trainer.loggers, run_dir / "metrics.csv", folder="kept")

    return fit


def assert_equals_the_file(stored: Stored, run_dir: Path, *, as_kept: Any = float) -> None:
    """Compare every value, step by step, in every bit."""
    written = {
        name: [(int(step), as_kept(value)) for step, value in zip(steps, values, strict=True)]
        for name, (steps, values) in read_metrics(run_dir / "metrics.csv").items()
    }
    assert {"epoch", "train/loss", "train/odd", "val/loss"} <= written.keys()
    assert len(written["train/loss"]) == 8
    assert repr(in_order(stored)) == repr(in_order(written))  # nan is not equal to nan


def in_order(stored: Stored) -> dict[str, list[tuple[int, float]]]:
    return {name: [(step, float(value)) for step, value in stored[name]] for name in sorted(stored)}


def test_tensorboard_has_what_the_file_has(train: Callable[..., None], run_dir: Path) -> None:
    pytest.importorskip("tensorboard")
    train(TensorBoardTracker(run_dir))
    found = tensorboard_scalars(run_dir / "tensorboard")
    assert_equals_the_file(found, run_dir, as_kept=np.float32)
    events = tensorboard_events(run_dir / "tensorboard")
    assert {"card", "history"} <= set(events.Tags()["images"])
    (content,) = events.PluginTagToContent("hparams").values()
    for name in (b"model/type", b"model/filters", b"seed", b"lr"):
        assert name in content


def test_mlflow_has_what_the_file_has(
    train: Callable[..., None], run_dir: Path, mlflow_db: Path
) -> None:
    mlflow = pytest.importorskip("mlflow")
    run_dir.mkdir(parents=True)
    shutil.copy(mlflow_db, run_dir.parent)
    train(MLflowTracker(run_dir, log_model=True), checkpoints=True)
    client = mlflow.MlflowClient(f"sqlite:///{run_dir.parent / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("leyden").experiment_id])
    assert (run.info.run_name, run.info.status) == ("one", "FINISHED")
    assert_equals_the_file(mlflow_metrics(client, run.info.run_id), run_dir)
    told = {"model/type": "cnn", "model/filters": "[8, 16]", "model/bias": "True", "seed": "0"}
    assert run.data.params == {**told, "lr": "0.1"}
    files = sorted((run_dir.parent / "mlflow" / run.info.run_id).rglob("*.*"))
    assert {"card-8.png", "history-8.png", "best.ckpt", "metrics.csv"} <= {f.name for f in files}
    (kept,) = (path for path in files if path.name == "metrics.csv")
    assert kept.read_bytes() == (run_dir / "metrics.csv").read_bytes()


def test_wandb_has_what_the_file_has(train: Callable[..., None], run_dir: Path) -> None:
    train(WandbTracker(run_dir))
    (folder,) = (run_dir / "wandb").glob("offline-run-*")
    assert_equals_the_file(wandb_metrics(folder), run_dir)
    rows = wandb_rows(folder)
    pictures = [name for row in rows for name in ("card", "history") if f"{name}/filenames" in row]
    assert pictures == ["card", "history"]
    config = {
        item.key: json.loads(item.value_json)
        for record in wandb_records(folder)
        for item in record.config.update
    }
    assert {name: config[name] for name in PARAMS} == PARAMS
    (begun,) = (r.run for r in wandb_records(folder) if r.WhichOneof("record_type") == "run")
    assert (begun.project, begun.display_name) == ("leyden", "one")
    kept = folder / "files" / "kept" / "metrics.csv"
    assert not kept.is_symlink()
    assert kept.read_bytes() == (run_dir / "metrics.csv").read_bytes()


def test_infinity_is_the_highest_number_in_mlflow(run_dir: Path, mlflow_db: Path) -> None:
    tracker = MLflowTracker(run_dir, tracking_uri=f"sqlite:///{mlflow_db}", experiment_name="high")
    tracker.log_metrics({"a": math.inf, "b": -math.inf}, step=3)
    highest = sys.float_info.max
    found = mlflow_metrics(tracker.experiment, str(tracker.run_id))
    assert found == {"a": [(3, highest)], "b": [(3, -highest)]}


def test_mlflow_takes_more_metrics_than_it_takes_at_once(run_dir: Path, mlflow_db: Path) -> None:
    tracker = MLflowTracker(run_dir, tracking_uri=f"sqlite:///{mlflow_db}", experiment_name="many")
    tracker.log_metrics({f"norm/{number}": number / 7 for number in range(1001)}, step=3)
    kept = tracker.experiment.get_run(tracker.run_id).data.metrics
    assert kept == {f"norm/{number}": number / 7 for number in range(1001)}


def test_changed_parameters_are_tags_in_mlflow(run_dir: Path, mlflow_db: Path) -> None:
    tracker = MLflowTracker(run_dir, tracking_uri=f"sqlite:///{mlflow_db}", experiment_name="more")
    tracker.log_hyperparams({"trainer": {"max_epochs": 2}, "odd, name": 1})
    tracker.log_hyperparams({"trainer": {"max_epochs": 3}, "odd, name": 1, "new": None})
    data = tracker.experiment.get_run(tracker.run_id).data
    assert data.params == {"trainer/max_epochs": "2", "odd_ name": "1", "new": "None"}
    assert data.tags["changed/trainer/max_epochs"] == "3"


def test_metrics_are_sent_later(run_dir: Path) -> None:
    pytest.importorskip("tensorboard")
    first = FileLogger(run_dir)
    for step in range(4):
        first.log_metrics({"train/loss": 1 / (step + 3), "epoch": step // 2}, step)
    first.log_metrics({"val/loss": 0.5, "epoch": 1}, 3)
    assert send_metrics(first.metrics_path, FileLogger(run_dir / "copy")) == 5
    copied = read_metrics(run_dir / "copy" / "metrics.csv")
    assert repr(copied) == repr(read_metrics(first.metrics_path))
    tracker = TensorBoardTracker(run_dir)
    assert send_metrics(first.metrics_path, tracker, after_step=2) == 2
    found = tensorboard_scalars(run_dir / "tensorboard")
    assert found["val/loss"] == [(3, 0.5)]
    assert [step for step, _ in found["epoch"]] == [3, 3]


@pytest.mark.parametrize("kind", [TensorBoardTracker, MLflowTracker, WandbTracker])
def test_a_missing_package_is_told_when_a_tracker_is_made(
    kind: Any, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = kind.__name__.removesuffix("Tracker").lower()
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"'{name}', but .*`pip install leyden\[\w+\]`\.$"):
        kind(run_dir)
    assert not run_dir.exists()


def test_wandb_is_online_only_with_a_key(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"a key of W&B for `mode` 'online'.*`wandb login`"):
        WandbTracker(run_dir, mode="online")
    with pytest.raises(ConfigError, match=r"'online', 'offline' or 'disabled', but got 'onlin'"):
        WandbTracker(run_dir, mode="onlin")


def test_every_run_of_wandb_ends(run_dir: Path) -> None:
    found: dict[str, int] = defaultdict(int)
    for _ in range(2):
        tracker = WandbTracker(run_dir)
        with ending([tracker]):
            tracker.log_metrics({"loss": 0.5}, step=0)
            found[tracker.experiment.id] += 1
    assert list(found.values()) == [1, 1]


STARTING = """
import sys
from leyden.tracking import MLflowTracker
tracker = MLflowTracker(sys.argv[1])
tracker.log_metrics({"loss": 0.5}, step=3)
tracker.finalize("success")
"""


@pytest.mark.slow
def test_runs_that_start_together_share_a_database(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    command = [sys.executable, "-W", "ignore", "-c", STARTING]
    processes = [subprocess.Popen([*command, tmp_path / f"run{number}"]) for number in range(4)]
    assert [process.wait(timeout=300) for process in processes] == [0] * 4
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("leyden").experiment_id])
    assert {run.info.run_name for run in runs} == {"run0", "run1", "run2", "run3"}
    assert {run.data.metrics["loss"] for run in runs} == {0.5}

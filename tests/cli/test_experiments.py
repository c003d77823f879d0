"""Every shipped experiment learns what it is about."""

import sys
from pathlib import Path

import pytest

from leyden.cli.train import main
from leyden.config import conf_dir
from leyden.runs import RunDir, read_manifest

QUIET = ["trainer.enable_progress_bar=false", "callbacks.card=null", "callbacks.history=null"]
BOUNDS = {  # the metric after its epochs, and what it has to be above or, negative, below
    "cancer_mlp": ("test/accuracy", 0.93, 30),
    "diabetes_mlp": ("test/r2", 0.3, 80),
    "digits_autoencoder": ("test/mae", -0.1, 8),
    "digits_cnn": ("test/accuracy", 0.95, 4),
    "timeseries_lstm": ("test/accuracy", 0.7, 8),
}


@pytest.fixture(autouse=True)
def arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)


def result_of(name: str, metric: str, *overrides: str) -> float:
    assert main([f"experiment={name}", *QUIET, *overrides]) == 0
    (path,) = Path("runs").rglob("run.json")
    assert path.parent.name.endswith(name)
    return float(read_manifest(RunDir(path.parent).manifest_path)["results"][metric])


def test_every_experiment_is_tried() -> None:
    assert {path.stem for path in (conf_dir() / "experiment").glob("*.yaml")} == BOUNDS.keys()


def test_an_experiment_runs(workplace: Path) -> None:
    assert 0 <= result_of("cancer_mlp", "test/auroc", "debug=limit") <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", BOUNDS)
def test_an_experiment_learns(workplace: Path, name: str) -> None:
    metric, bound, epochs = BOUNDS[name]
    sign = -1 if bound < 0 else 1
    assert sign * result_of(name, metric, f"trainer.max_epochs={epochs}") > bound

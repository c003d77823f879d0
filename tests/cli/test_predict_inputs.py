"""``leyden predict`` of models with several inputs, and of windows."""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn
from typing_extensions import override

from leyden import AutoDataModule, Experiment
from leyden.cli import main as leyden
from leyden.cli.train import main as train
from leyden.cli.trained import load_trained
from leyden.shards import write_shards

QUIET: dict[str, Any] = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False}
OPTIONS = [
    "data.path=data",
    "data.val=[1]",
    "data.test=null",
    "trainer.enable_progress_bar=false",
    "trainer.max_epochs=1",
    "callbacks.history=null",
    "callbacks.card=null",
    "hydra.run.dir=run",
]
NUMBERS = np.random.default_rng(0)
SERIES, META = NUMBERS.random((2, 40, 12, 2), np.float32), NUMBERS.random((2, 40, 3), np.float32)
CLASSES = np.arange(40) % 2
Predict = Callable[..., tuple[int, str]]


class Joined(nn.Module):
    """Takes the numbers of all inputs in the order that they come in."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], num_scores: int) -> None:
        super().__init__()
        self.layer = nn.Linear(sum(map(math.prod, shapes.values())), num_scores)

    @override
    def forward(self, inputs: dict[str, Tensor]) -> Any:
        rows = [each.reshape(len(each), -1) for each in inputs.values()]
        return self.layer(torch.cat(rows, dim=1))


@pytest.fixture
def predict(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Predict:
    """Run the command; give its exit code and what it says of errors."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["leyden", "predict", *arguments, "-o", "out.npy"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            leyden()
        return int(caught.value.code or 0), capsys.readouterr().err

    return call


def train_run(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert train([*OPTIONS, *options]) == 0


def write_scans() -> None:
    """Write two sets, and rows without labels."""
    Path("data").mkdir()
    for number, (series, meta) in enumerate(zip(SERIES, META, strict=True)):
        np.savez(f"data/scan_{number}.npz", series=series, meta=meta, y=CLASSES)
    np.savez("new.npz", meta=META[1], series=SERIES[1])


def expected(module: Any, **arguments: Any) -> Any:
    """Have the trainer predict from the second set; give what comes last."""
    data = AutoDataModule("data", labels=None, predict=[1], batch_size=40, **arguments)
    *_, last = Trainer(**QUIET).predict(module, data) or []
    return last


def test_windows_of_several_inputs_are_predicted_from_as_by_the_trainer(
    predict: Predict, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scans()
    inputs, windows = ["series", "meta"], {"size": 5, "stride": 3, "starts": [1]}
    network = f"model.network={__name__}.Joined"
    told = "data.windows={size: 5, stride: 3, starts: [1]}"
    train_run(monkeypatch, "model=mlp", network, "data.inputs=[series,meta]", told)
    last = expected(load_trained(Path("run")).module, inputs=inputs, windows=windows)
    assert predict("run", "new.npz") == (0, "")
    array: Any = np.load("out.npy")
    np.testing.assert_allclose(array["probabilities"], last["probabilities"], rtol=1e-5)
    np.save("new.npy", SERIES[1])
    code, told = predict("run", "new.npy")
    assert code == 2
    assert "called series, meta, but got one array without a name. Pass a dictionary" in told


@pytest.mark.parametrize("is_object", [False, True])
def test_saved_experiment_knows_the_inputs_that_its_shards_were_read_by(
    predict: Predict, *, is_object: bool
) -> None:
    write_scans()
    told: dict[str, Any] = {"path": "data", "inputs": ["series", "meta"]}
    described = {"dataset": told | {"type": "shards"}, "options": {"windows": {"size": 6}}}
    model = {"type": "classifier", "network": f"{__name__}.Joined"}
    experiment = Experiment(
        data=AutoDataModule(**told) if is_object else described,
        model={"model": model, "training": {"epochs": 1}},
        trainer=QUIET,
    )
    experiment.train()
    experiment.save("saved.zip")
    assert predict("saved.zip", "new.npz", "--trust", __name__) == (0, "")
    array: Any = np.load("out.npy")
    found = experiment.predict_proba({"meta": META[1], "series": SERIES[1]})
    assert np.array_equal(array["probabilities"], found)


def test_columns_of_a_table_are_the_inputs_that_they_were_in_training(
    predict: Predict, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("data").mkdir()
    for number, rows in enumerate(META):
        lines = [f"{a},{b},{c},{y}" for (a, b, c), y in zip(rows, CLASSES, strict=True)]
        Path(f"data/part_{number}.csv").write_text("\n".join(["age,pay,size,label", *lines]))
    network = f"model.network={__name__}.Joined"
    inputs = {"body": ["age", "size"], "pay": "pay"}
    train_run(monkeypatch, "model=mlp", network, "+data.inputs={body:[age,size],pay:pay}")
    last = expected(load_trained(Path("run")).module, inputs=inputs)
    lines = [f"{c},{b},{a},left" for a, b, c in META[1]]
    Path("new.csv").write_text("\n".join(["size,pay,age,side", *lines]))
    assert predict("run", "new.csv") == (0, "")
    array: Any = np.load("out.npy")
    np.testing.assert_allclose(array["probabilities"], last["probabilities"], rtol=1e-5)
    Path("new.csv").write_text("size,age\n1,2\n")
    told = "Expected the columns that the model was trained on, but got new.csv without 'pay'."
    assert predict("run", "new.csv") == (2, f"{told} Add what is missing.\n")


def test_windows_of_an_autoencoder_are_made_again_each_by_itself(
    predict: Predict, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shards(Path("data"), dict(enumerate(SERIES)))
    np.save("new.npy", SERIES[1])
    windows = "data.windows={size: 6}"
    train_run(monkeypatch, "model=autoencoder", "data=timeseries", "data.path=data", windows)
    assert predict("run", "new.npy") == (0, "")
    found = np.load("out.npy")
    assert found.shape == (40, 2, 6, 2)
    scaled = (SERIES[1] - SERIES[0].mean(axis=0)) / SERIES[0].std(axis=0)
    with torch.no_grad():
        made = load_trained(Path("run")).module.eval()(torch.from_numpy(scaled[:, 6:]))
    np.testing.assert_allclose(found[:, 1], made, rtol=1e-3, atol=1e-5)

"""``leyden predict``: new rows in, a file of predictions out."""

import contextlib
import csv
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from torch import Tensor

from leyden import Experiment
from leyden.cli import main as leyden
from leyden.cli.train import main as train
from leyden.cli.trained import load_trained
from leyden.shards import pack, write_shards
from leyden.types import Array

OPTIONS = [
    "model=mlp",
    "model.network.hidden=[8]",
    "data.path=shards",
    "data.val=[1]",
    "data.test=[2]",
    "data.preprocessors=[standard_scaler]",
    "trainer.enable_progress_bar=false",
    "trainer.max_epochs=2",
    "callbacks.history=null",
    "callbacks.card=null",
    "hydra.run.dir=run",
]
NEW = np.random.default_rng(1).normal(3.0, 2.0, size=(700, 3)).astype(np.float32)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on packed rows whose classes have names, and a saved experiment."""
    folder = tmp_path_factory.mktemp("trained")
    random = np.random.default_rng(0)
    rows = random.normal(3.0, 2.0, size=(160, 3)).astype(np.float32)
    names = np.array(["no", "yes"])[(rows.sum(1) > 9).astype(int)]
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        pack(rows, "shards", labels=names, rows_per_shard=20)
        patch.setattr(sys, "argv", ["train.py"])
        assert train(OPTIONS) == 0
        experiment = Experiment(
            data={"dataset": (rows, names), "preprocessors": ["standard_scaler"]},
            model={"model": {"type": "mlp", "hidden": [4]}, "training": {"epochs": 1}},
            trainer={"accelerator": "cpu", "enable_progress_bar": False, "logger": False},
        )
        experiment.train()
        experiment.save("saved.zip")
    return folder


@pytest.fixture
def folder(trained: Path, workplace: Path) -> Path:
    """A copy of it, which is the current directory, with new rows in several formats."""
    shutil.copytree(trained, workplace, dirs_exist_ok=True)
    np.save("new.npy", NEW)
    columns = {name: NEW[:, index] for index, name in enumerate("abc")}
    parquet.write_table(pa.table(columns), "new.parquet")
    with Path("new.csv").open("w", newline="") as file:
        lines = [[*map(repr, map(float, row)), index % 2] for index, row in enumerate(NEW)]
        csv.writer(file).writerows([["a", "b", "c", "label"], *lines])
    write_shards(Path("new"), {7: NEW[:300], 9: NEW[300:]})
    return workplace


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command; give its exit code and what it says."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["leyden", "predict", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            leyden()
        return int(caught.value.code or 0), *capsys.readouterr()

    return call


def expected() -> Array:
    """Probabilities by hand: standardised by the training rows, then the network."""
    rows = np.concatenate([np.load(f"shards/{name}") for name in _training_files()])
    scaled = (NEW - rows.mean(0)) / rows.std(0)
    module = load_trained(Path("run")).module.eval()
    with torch.no_grad():
        scores: Tensor = module(torch.from_numpy(scaled.astype(np.float32)))
    return np.asarray(scores.softmax(1))


def _training_files() -> list[str]:
    names = sorted(path.name for path in Path("shards").glob("*.npy"))
    numbered = {int("".join(c for c in Path(name).stem if c.isdigit())): name for name in names}
    return [name for number, name in sorted(numbered.items()) if number not in (1, 2)]


@pytest.mark.parametrize("source", ["new.npy", "new.csv", "new.parquet", "new"])
def test_rows_of_every_format_are_prepared_as_in_training(
    folder: Path, predict: Run, source: str
) -> None:
    code, out, err = predict("run", source, "-o", "out.parquet")
    assert (code, err) == (0, "")
    assert "out.parquet" in out
    table = parquet.read_table("out.parquet")
    scores = np.array(table["probabilities"].to_pylist())
    assert np.allclose(scores, expected(), atol=1e-5)
    assert table["class"].to_pylist() == scores.argmax(1).tolist()
    assert table["class_name"].to_pylist() == [["no", "yes"][k] for k in scores.argmax(1)]
    keys = [column for column in table.column_names if column in ("set_number", "row")]
    if source == "new":
        assert keys == ["set_number", "row"]
        assert table["row"].to_pylist() == [*range(300), *range(400)]
        assert set(table["set_number"].to_pylist()) == {7, 9}
    else:
        assert table["row"].to_pylist() == list(range(700))
    assert "rows         700" in out
    assert f"class yes    {table['class_name'].to_pylist().count('yes')}" in out


def test_predictions_are_the_same_in_every_format(folder: Path, predict: Run) -> None:
    for name in ("parquet", "csv", "npy"):
        assert predict("run", "new.npy", "-o", f"out.{name}")[0] == 0
    table = parquet.read_table("out.parquet")
    scores = np.array(table["probabilities"].to_pylist(), np.float32)
    array: Any = np.load("out.npy")  # no pickle
    assert np.array_equal(array["probabilities"], scores)
    assert array["class_name"].tolist() == table["class_name"].to_pylist()
    assert array.shape == (700,)
    with Path("out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["class"]) for row in rows] == table["class"].to_pylist()
    second = np.array([float(row["probabilities_1"]) for row in rows], np.float32)
    assert np.array_equal(second, scores[:, 1])


def test_threshold_decides(folder: Path, predict: Run) -> None:
    assert predict("run", "new.npy", "-o", "out.npy", "--threshold", 0.9)[0] == 0
    array: Any = np.load("out.npy")
    assert np.array_equal(array["class"], array["probabilities"][:, 1] > 0.9)
    assert predict("run", "new.npy", "--threshold", 1.5)[0] == 2


def test_saved_experiment_predicts_as_in_a_script(folder: Path, predict: Run) -> None:
    shutil.rmtree("shards")
    assert predict("saved.zip", "new.npy", "-o", "out.npy")[0] == 0
    array: Any = np.load("out.npy")
    experiment = Experiment.load("saved.zip")
    assert np.array_equal(array["class"], experiment.predict(NEW))
    assert np.array_equal(array["probabilities"], experiment.predict_proba(NEW))
    assert set(array["class_name"].tolist()) <= {"no", "yes"}


def test_predictions_lie_in_the_current_folder_if_nothing_is_said(
    folder: Path, predict: Run
) -> None:
    assert predict("run", "new.csv")[0] == 0
    assert parquet.read_table("new-predictions.parquet").num_rows == 700


def test_numbers_alone_are_a_plain_array(folder: Path, predict: Run) -> None:
    targets = NEW[:100].sum(1, keepdims=True)
    experiment = Experiment(
        data={"dataset": (NEW[:100], targets)},
        model={"model": {"type": "regressor"}, "training": {"epochs": 1}},
        trainer={"accelerator": "cpu", "enable_progress_bar": False, "logger": False},
    )
    experiment.train()
    experiment.save("numbers.zip")
    assert predict("numbers.zip", "new.npy", "-o", "out.npy")[0] == 0
    array = np.load("out.npy")
    assert array.dtype == np.float32
    assert np.array_equal(array, experiment.predict(NEW))


def test_names_of_packed_classes_are_kept_without_the_data(folder: Path, predict: Run) -> None:
    shutil.rmtree("shards")
    code, out, err = predict("run", "new.npy", "-o", "out.parquet")
    assert (code, err) == (0, "")
    assert "class yes" in out


def test_data_packed_with_other_classes_is_not_evaluated(
    folder: Path, predict: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its number 0 is not the class that the model calls 0."""
    pack(NEW[:40], "other", labels=np.array(["yes", "zero"])[np.arange(40) % 2])
    monkeypatch.setattr(sys, "argv", ["leyden", "evaluate", "run", "--data", "other"])
    with pytest.raises(SystemExit) as caught:
        leyden()
    err = capsys.readouterr().err
    assert caught.value.code == 2
    assert "Expected classes that were trained on, no, yes, but" in err
    assert "was packed with yes, zero, which are other numbers." in err
    assert not Path("run/evaluation").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rnu", "new.npy"], "to be the folder of a run, but got 'rnu', which does not exist"),
        (["shards", "new.npy"], "which has no run.json"),
        (["run", "neww.npy"], "got 'neww.npy', which does not exist. Did you mean 'new.npy'"),
        (["run", "run"], "Expected"),
        (["run", "new.npy", "-o", "out.txt"], "to a file of a known kind, but got 'out.txt'"),
        (["run", "wide.npy"], "Expected"),
        (["run", "wide.csv"], "Expected"),
        (["run", "texts.csv"], "Expected numbers in every column of texts.csv"),
        (["run", "gaps.csv"], "Expected a value in every cell of gaps.csv"),
        (["run", "empty.npy"], "Expected"),
        (["run", "new.csv", "--label-column", "labell"], "got 'labell'. Did you mean 'label'"),
        (["run", "new.npy", "--checkpoint", "bst"], "Did you mean 'best'"),
        (["broken.zip", "new.npy"], "broken.zip"),
        (["run", "new.npy", "-o", "new.npy/out.npy"], "'new.npy' is a file. Choose another place"),
        (["run", "new.npy", "-o", "new.npy"], "Expected a place beside '"),
        (["run", "new", "-o", "new/out.npy"], "Expected a place beside '"),
        (["run", "new.npy", "-o", f"{'x' * 300}.npy"], "the name is too long"),
        (["run", "x" * 300], "Expected files that can be read and written, but got"),
    ],
)
def test_slips_are_one_line_and_leave_nothing(
    folder: Path, predict: Run, arguments: list[str], told: str
) -> None:
    np.save("wide.npy", np.zeros((3, 5), np.float32))
    np.save("empty.npy", np.zeros((0, 3), np.float32))
    Path("wide.csv").write_text("a,b,c,d\n1,2,3,4\n")
    Path("texts.csv").write_text("a,b,c\n1,2,x\n")
    Path("gaps.csv").write_text("a,b,c\n1,,3\n")
    Path("broken.zip").write_bytes(Path("saved.zip").read_bytes()[:-100])
    before, rows = set(folder.rglob("*")), Path("new.npy").read_bytes()
    code, out, err = predict(*arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1
    assert set(folder.rglob("*")) == before
    assert Path("new.npy").read_bytes() == rows


def test_file_that_was_there_stays_if_predicting_fails(folder: Path, predict: Run) -> None:
    Path("out.csv").write_text("precious")
    Path("wide.csv").write_text("a,b,c,d\n" + "1,2,3,4\n" * 3)
    assert predict("run", "wide.csv", "-o", "out.csv")[0] == 2
    assert Path("out.csv").read_text() == "precious"

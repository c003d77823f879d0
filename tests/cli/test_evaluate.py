"""``leyden evaluate``, ``leyden compare`` and ``python evaluate.py``, on a run of this process."""

import contextlib
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from pyarrow import csv as arrow_csv

from leyden.cli import main as leyden
from leyden.cli.evaluate import main as evaluate_app
from leyden.cli.train import main as train
from leyden.evaluation import Evaluation, list_evaluations
from leyden.runs import read_manifest
from leyden.shards import write_shards
from leyden.tracking import read_metrics

OPTIONS = [
    "model=mlp",
    "model.network.hidden=[8]",
    "data.path=shards",
    "data.batch_size=16",
    "data.val=[1]",
    "data.test=[2, 3]",
    "data.preprocessors=[standard_scaler]",
    "data.augmentors=[{type: flip}]",
    "trainer.enable_progress_bar=false",
    "callbacks.history=null",
    "callbacks.card=null",
]
Run = Callable[..., tuple[int, str, str]]
MINE = """
import numpy as np

def gap(probabilities):
    return float(np.ptp(probabilities, axis=1).mean())

def wrong(records):
    return "bad"
"""


def write_data(folder: Path, *, width: int = 2, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    rows = {n: random.normal(size=(20, 1, 2, width)).astype(np.float32) for n in range(1, 9)}
    labels = {n: (part.sum((1, 2, 3)) > 0).astype(np.int64) for n, part in rows.items()}
    write_shards(folder, rows, labels=labels)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs: ``runs/one`` of an epoch, ``runs/two`` of three."""
    folder = tmp_path_factory.mktemp("trained")
    write_data(folder / "shards")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py"])
        for name, epochs in (("one", 1), ("two", 3)):
            place = [f"hydra.run.dir=runs/{name}", f"trainer.max_epochs={epochs}"]
            assert train([*OPTIONS, *place]) == 0
    return folder


@pytest.fixture
def folder(trained: Path, workplace: Path) -> Path:
    """A copy of it, which is the current directory."""
    shutil.copytree(trained, workplace, dirs_exist_ok=True)
    (workplace / "mine.py").write_text(MINE)
    return workplace


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; give its exit code and what it says."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["leyden", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            leyden()
        return int(caught.value.code or 0), *capsys.readouterr()

    return call


def newest(folder: Path) -> Evaluation:
    return list_evaluations(folder)[-1]


def files_in(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_run_is_evaluated_on_its_test_part_with_its_best_checkpoint(folder: Path, run: Run) -> None:
    code, out, err = run("evaluate", "runs/two")
    assert (code, err) == (0, "")
    found = newest(Path("runs/two"))
    assert {"accuracy", "f1", "log_loss"} <= found.metrics.keys()
    assert "checkpoints/best.ckpt" in out
    assert str(found.records.path) in out
    tested = read_manifest(folder / "runs/two/run.json")["results"]
    assert found.metrics["accuracy"] == pytest.approx(tested["test/accuracy"])
    assert found.metrics["log_loss"] == pytest.approx(tested["test/loss"], rel=1e-5)
    best = torch.load("runs/two/checkpoints/best.ckpt", weights_only=True)["global_step"]
    assert found.path.name == str(best)
    assert sorted(set(found.records["set_number"].tolist())) == [2, 3]


def test_numbers_go_to_the_loggers_of_the_run(folder: Path, run: Run) -> None:
    before = read_metrics(folder / "runs/one/metrics.csv")
    assert run("evaluate", "runs/one", "--metrics", "accuracy", "spread=mine.py:gap")[0] == 0
    after, found = read_metrics(folder / "runs/one/metrics.csv"), newest(Path("runs/one"))
    for name in ("accuracy", "spread"):
        steps, values = after[f"evaluation/test/{name}"]
        assert steps.tolist() == [found.facts["global_step"]]
        assert values.tolist() == [found.metrics[name]]
    assert before["val/loss"][1].tolist() == after["val/loss"][1].tolist()


def test_more_metrics_need_neither_model_nor_data(folder: Path, run: Run) -> None:
    assert run("evaluate", "runs/one")[0] == 0
    shutil.rmtree("shards")
    shutil.rmtree("runs/one/checkpoints")
    code, out, _ = run("evaluate", "runs/one", "--metrics", "recall", "spread=mine.gap")
    assert code == 0
    assert "stored before" in out
    (found,) = list_evaluations("runs/one")
    assert {"accuracy", "recall", "spread"} <= found.metrics.keys()
    assert run("evaluate", found.path, "--metrics", "mcc=matthews_corrcoef")[0] == 0
    assert "mcc" in newest(Path("runs/one")).metrics
    assert run("evaluate", "runs/one")[0] == 2  # the model is gone


def test_checkpoint_split_batch_size_and_method_are_chosen(folder: Path, run: Run) -> None:
    command = ["evaluate", "runs/two", "--checkpoint", "last", "--split"]
    assert run(*command, "train", "--batch-size", 7, "--method", "forward")[0] == 0
    found = newest(Path("runs/two"))
    assert (found.facts["split"], found.facts["method"]) == ("train", "forward")
    keys = list(zip(found.records["set_number"], found.records["row"], strict=True))
    assert keys == sorted(keys)  # neither shuffled nor weighted
    assert len(keys) == 5 * 20
    assert run(*command, "val", "--metrics", "accuracy")[0] == 0  # of which nothing is stored
    assert [one.facts["split"] for one in list_evaluations("runs/two")] == ["train", "val"]
    assert run(*command, "val", "--metrics", "f1", "--anew")[0] == 0
    assert len(list_evaluations("runs/two")) == 3


def test_training_rows_are_not_augmented(folder: Path, run: Run) -> None:
    for size in (16, 64):
        assert run("evaluate", "runs/two", "--split", "train", "--batch-size", size)[0] == 0
    one, other = list_evaluations("runs/two")
    assert np.allclose(one.records["probabilities"], other.records["probabilities"], atol=1e-6)


def test_other_data_is_prepared_as_in_training(folder: Path, run: Run) -> None:
    assert run("evaluate", "runs/two")[0] == 0
    old = newest(Path("runs/two"))
    rows, labels = {}, np.load("shards/labels.npz")
    for number in (2, 3):
        rows[number + 50] = np.load(f"shards/sample__{number}.npy")
    write_shards(Path("other"), rows, labels={number: labels[str(number - 50)] for number in rows})
    assert run("evaluate", "runs/two", "--data", "other")[0] == 0
    new = newest(Path("runs/two"))
    assert (new.facts["split"], new.facts["num_rows"]) == ("all", 40)
    assert np.allclose(new.records["probabilities"], old.records["probabilities"], atol=1e-6)
    (Path("parts") / "test").parent.mkdir()
    shutil.copytree("other", "parts/test")
    assert run("evaluate", "runs/two", "--data", "parts")[0] == 0
    assert newest(Path("runs/two")).facts["split"] == "test"
    # Metrics without a word on data are of the run's own.
    assert run("evaluate", "runs/two", "--metrics", "recall")[0] == 0
    assert "recall" in list_evaluations("runs/two")[0].metrics


def test_run_that_was_moved_is_evaluated(folder: Path, run: Run) -> None:
    Path("runs/one").rename("elsewhere")
    assert run("evaluate", "elsewhere")[0] == 0
    assert newest(Path("elsewhere")).facts["checkpoint"] == "checkpoints/best.ckpt"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["runs/won"],
            "to be the folder of a run, but got 'runs/won', which does not",
        ),
        (["shards"], "which has no run.json"),
        (["shards/labels.npz"], "but got 'shards/labels.npz', which is a file."),
        (["runs/one", "--metrics", "acuracy"], "got 'acuracy'. Did you mean 'accuracy'"),
        (["runs/one", "--metrics", "x=mine.py:gop"], "Expected a function 'gop' in mine.py. Did"),
        (["runs/one", "--metrics", "x=nowhere.y"], "cannot be imported"),
        (["runs/one", "--split", "tset"], "got 'tset'. Did you mean 'test'"),
        (["runs/one", "--checkpoint", "bst"], "got 'bst'. Did you mean 'best'"),
        (["runs/one", "--data", "nowhere"], "got 'nowhere', which does not exist"),
        (["runs/one", "--data", "runs"], "Expected"),
        (["runs/one", "--data", "wide"], "Expected rows of shape (1, 2, 2), as the model was"),
        (["runs/one", "--batch-size", "0"], "Expected `batch_size` to be a whole number from 1"),
        (["runs/broken"], "no checkpoint, or damaged"),
    ],
)
def test_slips_are_one_line_and_leave_nothing(
    folder: Path, run: Run, arguments: list[str], told: str
) -> None:
    write_data(Path("wide"), width=3)
    shutil.copytree("runs/one", "runs/broken")
    Path("runs/broken/checkpoints/best.ckpt").write_bytes(b"broken")
    before = files_in(folder)
    code, out, err = run("evaluate", *arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1
    assert {path for path in files_in(folder) if "__pycache__" not in path} == before.keys()


def test_metric_that_fails_leaves_the_rows(folder: Path, run: Run) -> None:
    code, _, err = run("evaluate", "runs/one", "--metrics", "x=mine.py:wrong")
    assert code == 2
    assert "Expected the metric `x` to return a number" in err
    assert newest(Path("runs/one")).metrics == {}


def test_loggers_of_a_run_that_goes_on_are_left_alone(folder: Path, run: Run) -> None:
    facts = json.loads(Path("runs/one/run.json").read_text())
    Path("runs/one/run.json").write_text(json.dumps({**facts, "status": "running", "host": "x"}))
    before = Path("runs/one/metrics.csv").read_bytes()
    code, _, err = run("evaluate", "runs/one")
    assert (code, err) == (0, "The run is going on: its loggers are left to it.\n")
    assert Path("runs/one/metrics.csv").read_bytes() == before


def test_figures_go_to_loggers_that_take_them_and_one_that_fails_is_named(
    folder: Path, run: Run
) -> None:
    pytest.importorskip("tensorboard")
    (path,) = Path("runs/one/config").iterdir()
    config = OmegaConf.load(path)
    board = {"_target_": "lightning.pytorch.loggers.TensorBoardLogger", "save_dir": "board"}
    OmegaConf.update(config, "tracking.board", board)
    OmegaConf.update(config, "tracking.csv.run_dir", "mine.py/run")  # no folder
    path.write_text(OmegaConf.to_yaml(config))
    code, _, err = run("evaluate", "runs/one")
    assert code == 0
    assert err.startswith("FileLogger did not take the metrics:")
    assert err.count("\n") == 1
    (events,) = Path("board").rglob("events*")
    content = events.read_bytes()
    assert b"evaluation/test/confusion_matrix" in content
    assert b"evaluation/test/accuracy" in content


def test_two_runs_are_compared_row_by_row(folder: Path, run: Run) -> None:
    for name in ("one", "two"):
        assert run("evaluate", f"runs/{name}")[0] == 0
    shutil.rmtree("shards")
    code, out, err = run("compare", "runs/one", "runs/two", "--output", "rows.csv")
    assert (code, err) == (0, "")
    for text in ("compared by", "confidence", "better", "worse", "right now", "wrong now", "set"):
        assert text in out
    rows = arrow_csv.read_csv("rows.csv")
    assert rows.num_rows == 40
    assert rows.column_names[:3] == ["set_number", "row", "target"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["runs/one", "runs/two"], "Expected an evaluation, or a run with one, but got 'runs/one'"),
        (["runs/two", "runs/two", "--by", "confidense"], "Did you mean 'confidence'"),
        (["runs/two", "runs/two", "--output", "rows.txt"], "to end in .csv or .parquet"),
        (["runs/two", "runs/two", "--rows", "-1"], "Expected `--rows` to be at least 0"),
        (["runs/two", "runs/two", "--output", "mine.py/a.csv"], "'mine.py' is a file. Choose"),
    ],
)
def test_slips_of_comparisons_are_one_line(
    folder: Path, run: Run, arguments: list[str], told: str
) -> None:
    assert run("evaluate", "runs/two")[0] == 0
    code, out, err = run("compare", *arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_a_comparison_does_not_replace_what_is_compared(folder: Path, run: Run) -> None:
    assert run("evaluate", "runs/two")[0] == 0
    records = newest(Path("runs/two")).records.path
    before = records.read_bytes()
    code, out, err = run("compare", "runs/two", "runs/two", "--output", records)
    assert (code, out) == (2, "")
    assert err.startswith("Expected a place beside '")
    assert records.read_bytes() == before


def test_the_page_of_a_run_shows_an_evaluation_at_once(folder: Path, run: Run) -> None:
    page = folder / "runs" / "one" / "report.html"
    assert run("evaluate", "runs/one")[0] == 0
    assert not page.exists()  # it is made if it is asked for
    assert run("report", "runs/one")[0] == 0
    code, out, _ = run("evaluate", "runs/one", "--metrics", "spread=mine.py:gap")
    assert code == 0
    assert re.search(r"^report +runs/one/report\.html$", out, re.MULTILINE)
    assert ">spread<" in page.read_text()


@pytest.fixture
def application(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run ``python evaluate.py``; give its exit code and what it says."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(sys, "argv", ["evaluate.py"])

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        return evaluate_app(arguments), *capsys.readouterr()

    return call


def test_evaluation_from_a_configuration(folder: Path, application: Run) -> None:
    before = {path.name for path in folder.iterdir()}
    code, out, _ = application("run=runs/one", "split=val", "metrics={hits: accuracy}")
    assert code == 0
    assert "hits" in out
    assert newest(Path("runs/one")).metrics.keys() == {"hits"}
    assert {path.name for path in folder.iterdir()} == before  # Hydra makes no folder of its own


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run=runs/wone"], "'runs/wone', which does not exist"),
        ([], "run"),
        (["run=runs/one", "splt=val"], "got 'splt'. Did you mean 'split'"),
        (["run=runs/one", "metrics=accuracy"], "Expected `metrics` to be a list, or names with"),
        (["run=runs/one", "trainer=ddp_cpu"], "one process evaluates, also where several trained"),
        (["run=runs/one", "+trainer.devices=2"], "one process evaluates, also where several"),
    ],
)
def test_slips_of_configurations_are_one_line(
    folder: Path, application: Run, arguments: list[str], told: str
) -> None:
    code, out, err = application(*arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1

"""``leyden calibrate``: threshold and sets of a run that another process has made."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyarrow import parquet
from sklearn.metrics import f1_score, roc_auc_score

from leyden.cli import main
from leyden.cli.evaluating import Request, evaluate_run
from leyden.modules import ClassifierModule
from leyden.report import write_page
from leyden.report.figures import PALETTE
from leyden.shards import write_shards
from leyden.tracking import read_ledger

VAL = (1, 4, 8)
Calibrate = Callable[..., tuple[int, str]]


def make_data() -> tuple[Any, Any]:
    """Rows and labels by set number, always the same."""
    random = np.random.default_rng(0)
    rows: Any = {n: random.normal(size=(30, 4)).astype(np.float32) for n in range(1, 10)}
    noise = {n: random.normal(size=30) for n in rows}
    labels = {n: (part.sum(1) + noise[n] > 1.5).astype(np.int64) for n, part in rows.items()}
    return rows, labels


def train(folder: Path, *options: str) -> Path:
    program = "import sys; from leyden.cli.train import main; sys.exit(main())"
    told = [
        "model=mlp",
        "model.network.hidden=[8]",
        "data.path=shards",
        f"data.val={list(VAL)}",
        "trainer.max_epochs=2",
        "trainer.enable_progress_bar=false",
        "callbacks.history=null",
        "callbacks.card=null",
        *options,
    ]
    command = [sys.executable, "-c", program, *told, "hydra.run.dir=run"]
    done = subprocess.run(command, cwd=folder, timeout=240, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return folder / "run"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and a run."""
    folder = tmp_path_factory.mktemp("trained")
    rows, labels = make_data()
    write_shards(folder / "shards", rows, labels=labels)
    train(folder)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def calibrates(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Calibrate:
    """Run ``leyden calibrate`` in a folder; give its exit code and what it prints."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setenv("COLUMNS", "160")

    def run(folder: Path, *arguments: str) -> tuple[int, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["leyden", "calibrate", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return int(ended.value.code or 0), printed.out + printed.err

    return run


def result_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run" / "calibration.json").read_text())
    return found


def records_of(folder: Path) -> Path:
    (path,) = (folder / "run" / "evaluation").glob("*/*/records.parquet")
    return path


def samples_of(folder: Path) -> tuple[Any, Any, Any]:
    """Set numbers, probabilities and labels of the validation rows, computed without leyden's."""
    best = folder / "run" / "checkpoints" / "best.ckpt"
    module = ClassifierModule.load_from_checkpoint(best).eval()
    rows, labels = make_data()
    with torch.no_grad():
        scores = [module(torch.from_numpy(rows[n])).softmax(1)[:, 1].numpy() for n in VAL]
    sets = np.repeat(VAL, [len(rows[n]) for n in VAL])
    return sets, np.concatenate(scores), np.concatenate([labels[n] for n in VAL])


def test_the_page_of_a_run_shows_what_was_calibrated_with(
    folder: Path, calibrates: Calibrate
) -> None:
    page = write_page(folder / "run")
    before = page.read_text()
    code, printed = calibrates(folder, "run")
    assert code == 0, printed
    assert re.search(r"^report +run/report\.html$", printed, re.MULTILINE)
    name = records_of(folder).parents[1].name
    assert name in page.read_text()
    assert name not in before


def test_threshold_is_that_of_an_independent_search(folder: Path, calibrates: Calibrate) -> None:
    code, printed = calibrates(folder, "run")
    assert code == 0, printed
    _, scores, labels = samples_of(folder)
    at = np.round(np.arange(1, 100) / 100, 2)
    values = np.array([f1_score(labels, scores > np.float32(one)) for one in at])
    best = at[values == values.max()]
    found = result_of(folder)
    assert found["threshold"]["value"] == best[np.abs(best - 0.5).argmin()]
    assert found["threshold"]["metric"] == pytest.approx(values.max(), abs=1e-6)
    assert found["before"]["value"] == 0.5
    assert found["before"]["metric"] == pytest.approx(f1_score(labels, scores > 0.5), abs=1e-6)
    assert (found["num_samples"], found["is_applied"]) == (90, False)
    assert re.search(rf"best +│ +{found['threshold']['value']} │", printed)


def test_records_are_stored_once_and_used_again(folder: Path, calibrates: Calibrate) -> None:
    calibrates(folder, "run")
    path = records_of(folder)
    table = parquet.read_table(path)
    sets, scores, labels = samples_of(folder)
    order = np.argsort(table["set_number"].to_numpy(), kind="stable")
    assert np.array_equal(np.sort(table["set_number"].to_numpy()), sets)
    said = np.array(table["probabilities"].to_pylist())[:, 1]
    assert np.allclose(said[order], scores, atol=1e-6)
    assert np.array_equal(table["target"].to_numpy()[order], labels)
    facts = torch.load(folder / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    assert path.parent.name == str(facts["global_step"])
    assert result_of(folder)["places"]["records"] == str(path.relative_to(folder / "run"))
    shutil.rmtree(folder / "shards")
    assert calibrates(folder, "run", "--metric", "tnr")[0] == 0
    assert records_of(folder) == path


def test_records_of_other_rows_are_not_tuned_on(
    folder: Path, calibrates: Calibrate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    best = folder / "run" / "checkpoints" / "best.ckpt"
    evaluate_run(Request(folder / "run", str(best), "train"))
    assert calibrates(folder, "run")[0] == 0
    assert result_of(folder)["num_samples"] == 90


def test_apply_has_whatever_predicts_use_the_threshold(folder: Path, calibrates: Calibrate) -> None:
    best = folder / "run" / "checkpoints" / "best.ckpt"
    before = torch.load(best, weights_only=True)
    assert calibrates(folder, "run", "--bounds", "0.1", "0.3", "--apply")[0] == 0
    value = result_of(folder)["threshold"]["value"]
    assert 0.1 <= value <= 0.3
    assert result_of(folder)["is_applied"]
    module = ClassifierModule.load_from_checkpoint(best)
    assert module.threshold == value
    rows = torch.from_numpy(make_data()[0][1])
    said = module.eval().predict_step(rows, 0)
    assert torch.equal(said["classes"].bool(), said["probabilities"][:, 1] > value)
    after = torch.load(best, weights_only=True)
    assert after.keys() == before.keys()
    assert all(torch.equal(after["state_dict"][k], v) for k, v in before["state_dict"].items())
    assert calibrates(folder, "run")[0] == 0
    assert result_of(folder)["before"]["value"] == value


STRUCK = """
import os, signal, sys
from leyden.cli import main

def strike(frame, event, function):
    if event == "c_call" and function.__name__ == "write_record":
        sys.setprofile(None)
        os.kill(os.getpid(), signal.Signals[name])

def wait_for_figure(event, arguments):  # which is finished just before the checkpoint is written
    if event == "os.rename" and str(arguments[1]).endswith("calibration.png"):
        sys.setprofile(strike)

name = sys.argv.pop()
sys.addaudithook(wait_for_figure)
main()
"""


@pytest.mark.parametrize(
    ("name", "code"),
    [("SIGKILL", -signal.SIGKILL), pytest.param("SIGINT", 130, marks=pytest.mark.slow)],
)
def test_apply_struck_while_it_writes_leaves_the_checkpoint(
    folder: Path, calibrates: Calibrate, name: str, code: int
) -> None:
    assert calibrates(folder, "run")[0] == 0  # stores predictions
    best = folder / "run" / "checkpoints" / "best.ckpt"
    before, found = best.read_bytes(), result_of(folder)
    command = [sys.executable, "-c", STRUCK, "calibrate", "run", "--bounds", "0.1", "0.3"]
    done = subprocess.run(
        [*command, "--apply", name], cwd=folder, timeout=120, capture_output=True, check=False
    )
    assert done.returncode == code, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert best.read_bytes() == before
    assert result_of(folder) == found
    halves = [path.name for path in best.parent.glob(".*best.ckpt")]
    assert len(halves) == (name == "SIGKILL")  # it had begun to write; after Ctrl-C it tidies up
    assert calibrates(folder, "run", "--bounds", "0.1", "0.3", "--apply")[0] == 0
    assert result_of(folder)["is_applied"]
    assert calibrates(folder, "run")[0] == 0  # what is left of the first try disturbs nobody
    assert 0.1 <= result_of(folder)["before"]["value"] <= 0.3


def test_exact_checkpoints_are_left_as_they_are(folder: Path, calibrates: Calibrate) -> None:
    path = max((folder / "run" / "checkpoints").glob("0*.ckpt"))
    before = path.read_bytes()
    code, printed = calibrates(folder, "run", "--checkpoint", str(path), "--apply")
    assert code == 2
    assert "is one from which the run goes on exactly" in printed
    assert path.read_bytes() == before


def test_sets_by_predictions_and_by_a_metric_of_scores(folder: Path, calibrates: Calibrate) -> None:
    code, printed = calibrates(folder, "run", "--metric", "auroc", "--subset-size", "2")
    assert code == 0, printed
    sets, scores, labels = samples_of(folder)
    areas = {n: roc_auc_score(labels[sets == n], scores[sets == n]) for n in VAL}
    chosen = sorted(areas, key=lambda n: -areas[n])[:2]
    found = result_of(folder)
    mask = np.isin(sets, chosen)
    assert found["subset"]["sets"] == chosen
    assert found["subset"]["metric"] == pytest.approx(
        roc_auc_score(labels[mask], scores[mask]), abs=1e-6
    )
    assert found["threshold"] is None
    assert f"sets {chosen[0]}, {chosen[1]}" in printed


def test_sets_by_the_losses_of_the_ledger(folder: Path, calibrates: Calibrate) -> None:
    code, printed = calibrates(folder, "run", "--metric", "loss", "--subset-size", "1")
    assert code == 0, printed
    rows = read_ledger(folder / "run" / "batches.parquet").to_pylist()
    last = [r for r in rows if r["phase"] == "val" and r["epoch"] == 1]
    losses = {n: np.mean([r["loss"] for r in last if n in r["sets"]]) for n in VAL}
    assert result_of(folder)["subset"]["sets"] == [min(losses, key=lambda n: losses[n])]
    assert result_of(folder)["subset"]["metric"] == pytest.approx(min(losses.values()))


def test_figure_has_the_curve_and_the_scores(
    folder: Path, calibrates: Calibrate, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("leyden.cli.calibrate.save_figure", lambda figure, _: seen.append(figure))
    calibrates(folder, "run", "--steps", "20")
    (figure,) = seen
    upper, lower = figure.axes
    curve, best, before = upper.lines
    assert len(curve.get_xdata()) == 19
    found = result_of(folder)["threshold"]
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (found["value"], found["metric"])
    assert best.get_color() == PALETTE["test"]
    assert list(before.get_xdata()) == [0.5, 0.5]
    assert upper.get_xlim() == lower.get_xlim()
    assert (upper.get_xlabel(), upper.get_ylabel()) == ("threshold", "f1")
    assert sum(len(line.get_xdata()) for line in lower.lines[:2]) == 90


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["none"],
            "`RUN` to be the folder of a run, but got 'none', which does not exist.",
        ),
        (["run", "--metric", "f2"], "Expected `metric` to be a known name"),
        (["run", "--metric", "loss"], "Expected `--subset-size`, and no `--apply`"),
        (["run", "--metric", "auroc", "--apply"], "Expected `--metric` to compare decisions"),
        (["run", "--bounds", "0.9", "0.1"], "Expected `bounds` to be a lowest and a highest"),
        (["run", "--checkpoint", "no.ckpt"], "Expected `--checkpoint` to be a file"),
        (["run", "--score", "p"], "Expected the records to have a column 'p'"),
        (["run", "--records", "no.parquet"], "which does not exist"),
        (["run", "--subset-size", "9"], "from 1 to the number of sets, 3, but got 9"),
    ],
)
def test_slip_is_answered_in_one_line(
    folder: Path, calibrates: Calibrate, arguments: list[str], message: str
) -> None:
    code, printed = calibrates(folder, *arguments)
    assert (code, message in printed) == (2, True), printed
    assert not (folder / "run" / "calibration.json").exists()


@pytest.mark.slow
def test_more_than_two_classes_have_sets_and_no_threshold(
    tmp_path: Path, calibrates: Calibrate
) -> None:
    random = np.random.default_rng(0)
    rows: Any = {n: random.normal(size=(20, 4)).astype(np.float32) for n in range(1, 10)}
    labels = {n: part[:, :3].argmax(1) for n, part in rows.items()}
    write_shards(tmp_path / "shards", rows, labels=labels)
    train(tmp_path)
    code, printed = calibrates(tmp_path, "run")
    assert code == 2
    assert "There is no threshold between 3 classes" in printed
    metric = "sparse_categorical_accuracy"
    code, printed = calibrates(tmp_path, "run", "--metric", metric, "--subset-size", "2")
    assert code == 0, printed
    assert set(result_of(tmp_path)["subset"]["sets"]) < set(VAL)

"""A stranger's tables: words for labels, and columns that are told by their names."""

import contextlib
import csv
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from leyden.cli import main as leyden
from leyden.cli.train import main as train

NAMES = ["ash", "birch", "oak"]
OPTIONS = [
    "model=mlp",
    "model.network.hidden=[8]",
    "optimizer.lr=0.02",
    "data.path=trees",
    "data.val=[1]",
    "data.test=[2]",
    "data.batch_size=8",
    "trainer.enable_progress_bar=false",
    "trainer.max_epochs=20",
    "callbacks.history=null",
    "callbacks.card=null",
    "hydra.run.dir=run",
]
Call = Callable[..., tuple[int, str, str]]


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def draw(random: np.random.Generator) -> tuple[float, float, str]:
    """Height and girth, which tell the tree."""
    kind = int(random.integers(3))
    height, girth = random.normal([kind, -kind], 0.1).tolist()
    return height, girth, NAMES[kind]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on numbered tables whose labels are words."""
    folder = tmp_path_factory.mktemp("trees")
    random = np.random.default_rng(0)
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        Path("trees").mkdir()
        for number in range(1, 9):
            rows = [draw(random) for _ in range(8)]
            write_rows(Path(f"trees/part__{number}.csv"), ["height", "girth", "label"], rows)
        patch.setattr(sys, "argv", ["train.py"])
        assert train(OPTIONS) == 0
        Path("trees").rename("moved")  # the names are kept with the weights
        new = [draw(random) for _ in range(30)]
        write_rows(Path("new.csv"), ["height", "girth", "label"], new)
        swapped = [(girth, height, height) for height, girth, _ in new]
        write_rows(Path("swapped.csv"), ["girth", "height", "id"], swapped)
        Path("shards").mkdir()
        write_rows(Path("shards/1.csv"), ["girth", "height"], [row[:2] for row in swapped])
        write_rows(Path("short.csv"), ["girth"], [row[:1] for row in swapped])
        oaks = [row for row in new if row[2] != "ash"]
        Path("oaks").mkdir()
        write_rows(Path("oaks/1.csv"), ["height", "girth", "label"], oaks)
    return folder


@pytest.fixture
def call(
    trained: Path,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Call:
    """Run ``leyden`` in a copy of the folder; give its exit code and what it says."""
    shutil.copytree(trained, workplace, dirs_exist_ok=True)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["leyden", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            leyden()
        return int(caught.value.code or 0), *capsys.readouterr()

    return run


def answers(path: str) -> list[str]:
    with Path(path).open(newline="") as file:
        return [row["class_name"] for row in csv.DictReader(file)]


def test_words_are_predicted_although_the_data_is_gone(call: Call) -> None:
    code, _, err = call("predict", "run", "new.csv", "-o", "out.csv")
    assert (code, err) == (0, "")
    with Path("new.csv").open(newline="") as file:
        told = [row["label"] for row in csv.DictReader(file)]
    assert answers("out.csv") == told


def test_columns_in_another_order_are_told_by_their_names(call: Call) -> None:
    assert call("predict", "run", "new.csv", "-o", "one.csv")[0] == 0
    assert call("predict", "run", "swapped.csv", "--drop", "id", "-o", "two.csv")[0] == 0
    assert Path("one.csv").read_text() == Path("two.csv").read_text()
    assert call("predict", "run", "shards", "-o", "three.csv")[0] == 0
    assert answers("one.csv") == answers("three.csv")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("swapped.csv", "but got swapped.csv with 'id'. Leave other columns out with --drop."),
        ("short.csv", "but got short.csv without 'height'. Add what is missing."),
    ],
)
def test_columns_that_do_not_fit_are_named_in_one_line(call: Call, name: str, problem: str) -> None:
    expected = f"Expected the columns that the model was trained on, {problem}\n"
    assert call("predict", "run", name) == (2, "", expected)


def test_columns_in_another_order_are_not_evaluated(call: Call) -> None:
    expected = "Expected the columns that were trained on, height, girth, but got girth, height."
    assert call("evaluate", "run", "--data", "shards") == (
        2,
        "",
        f"{expected} Put them in that order.\n",
    )


def test_other_rows_are_judged_by_the_classes_of_the_run(call: Call) -> None:
    code, out, _ = call("evaluate", "run", "--data", "oaks")  # two of the three kinds
    assert code == 0
    accuracy = next(line for line in out.splitlines() if line.startswith("accuracy"))
    assert float(accuracy.split()[1]) == 1.0

"""Evaluations in the folder of a run."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leyden.errors import ConfigError, DataError, MissingPathError
from leyden.evaluation import Evaluation, find_evaluation, list_evaluations
from leyden.evaluation.stored import store_evaluation
from leyden.runs import RunDir

Store = Callable[..., Evaluation]
COLUMNS = {"target": [0, 1, 1, 0], "classes": [0, 1, 0, 0]}

KILLED = """
import sys
from pathlib import Path
import numpy as np
from leyden.evaluation.stored import store_evaluation
from leyden.runs import RunDir

def fill(writer):
    writer.add({"row": np.arange(5), "big": np.zeros((5, 100))})
    print("written", flush=True)
    sys.stdin.read()

store_evaluation(RunDir(Path(sys.argv[1])), 3, fill)
"""


def test_evaluation_lies_where_it_belongs_and_is_found(store: Store, tmp_path: Path) -> None:
    made = store(COLUMNS, step=7)
    assert made.path.parent.parent == tmp_path / "run" / "evaluation"
    assert made.path.name == "7"
    assert made.name == f"{made.path.parent.name}/7"
    assert find_evaluation(made.path).records["classes"].tolist() == COLUMNS["classes"]
    assert (made.facts["num_rows"], made.facts["global_step"]) == (4, 7)


def test_several_evaluations_of_a_run_are_listed_oldest_first(store: Store, tmp_path: Path) -> None:
    made = [store(COLUMNS, step=step).name for step in (9, 1, 9)]
    assert len(set(made)) == 3
    assert [one.name for one in list_evaluations(tmp_path / "run")] == made
    assert find_evaluation(tmp_path / "run").name == made[-1]


def test_metrics_are_added_without_the_model(store: Store) -> None:
    made = store(COLUMNS)
    made.add_metrics({"hits": "accuracy"})
    done = made.add_metrics({"n": lambda r: len(r["row"]), "nan": lambda r: float("nan")})
    assert done.metrics == {"hits": 0.75, "n": 4.0, "nan": None}
    assert find_evaluation(made.path).metrics == done.metrics
    assert json.loads((made.path / "metrics.json").read_text())["metrics"] == done.metrics


def test_figures_are_files(store: Store) -> None:
    found: dict[str, Any] = {}
    done = store(COLUMNS).add_metrics(["confusion_matrix"], on_figure=found.__setitem__)
    assert list(found) == ["confusion_matrix"]
    assert (done.path / done.figures["confusion_matrix"]).read_bytes().startswith(b"\x89PNG")


def test_nothing_is_kept_if_a_metric_fails(store: Store) -> None:
    made = store(COLUMNS)
    before = {path: path.read_bytes() for path in made.path.iterdir()}
    with pytest.raises(ConfigError, match="metric `bad` to return a number"):
        made.add_metrics({"good": "accuracy", "fig": "confusion_matrix", "bad": lambda r: "x"})
    assert {path: path.read_bytes() for path in made.path.iterdir()} == before


def test_names_of_metrics_stay_in_the_folder(store: Store) -> None:
    with pytest.raises(ConfigError, match=r"made of letters, digits, dots and slashes, but got"):
        store(COLUMNS).add_metrics({"a b": "accuracy"})
    done = store(COLUMNS).add_metrics({"../up": "confusion_matrix"})
    assert done.figures == {"../up": "..--up.png"}


def test_failed_evaluation_leaves_nothing(tmp_path: Path) -> None:
    run = RunDir(tmp_path)

    def fill(writer: Any) -> dict[str, Any]:
        writer.add({"row": np.arange(3)})
        raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        store_evaluation(run, 1, fill)
    with pytest.raises(DataError, match="at least one row"):
        store_evaluation(run, 1, lambda writer: {})
    assert list(run.evaluation_dir.iterdir()) == []


@pytest.mark.slow
def test_evaluation_that_is_killed_is_not_listed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert list_evaluations(tmp_path) == []
    assert any(RunDir(tmp_path).evaluation_dir.rglob("*.parquet"))  # it had begun


def test_what_is_broken_or_missing_is_told(store: Store, tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match=r"which does not exist. Make one: leyden evaluate"):
        find_evaluation(tmp_path / "none")
    with pytest.raises(MissingPathError, match="which has none"):
        find_evaluation(tmp_path)
    made = store(COLUMNS)
    facts = json.loads((made.path / "metrics.json").read_text())
    (made.path / "metrics.json").write_text(json.dumps({**facts, "version": 99}))
    with pytest.raises(DataError, match=r"version 1 in .*, but got 99"):
        find_evaluation(made.path)
    (made.path / "metrics.json").write_text('{"version": 1')
    with pytest.raises(DataError, match=r"its metrics.json cannot be read"):
        list_evaluations(tmp_path / "run")


def test_time_of_an_evaluation_is_known(store: Store) -> None:
    before = time.time()
    assert before <= store(COLUMNS).facts["created"] <= time.time()

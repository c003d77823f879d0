"""``leyden runs``: what is listed, and what two runs disagree in."""

import json
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from leyden.cli import main as leyden
from leyden.runs import RunDir, RunManifest, list_runs, standing

Show = Callable[..., tuple[int, str]]


@pytest.fixture
def show(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Show:
    """Run the command; give its exit code and what it says."""
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["leyden", "runs", *arguments])
        with pytest.raises(SystemExit) as caught:
            leyden()
        code = caught.value.code
        assert isinstance(code, int)
        out, err = capsys.readouterr()
        return code, out if code == 0 else err

    return run


def make(path: str, results: dict[str, float], config: dict[str, Any] | None = None) -> RunDir:
    """Make the folder of a finished run."""
    run = RunDir(Path(path))
    run.config_dir.mkdir(parents=True)
    whole = {"seed": 0, "run_dir": path, **(config or {})}
    OmegaConf.save(OmegaConf.create(whole), run.config_dir / "2026-01-01_00-00-00.yaml")
    with RunManifest(run, command=["train.py"]) as manifest:
        manifest.add_results(results)
    return run


def rewrite(run: RunDir, **facts: Any) -> None:
    known = json.loads(run.manifest_path.read_text())
    run.manifest_path.write_text(json.dumps(known | facts))


def rows(text: str) -> list[list[str]]:
    """The cells of a table's rows, without its head."""
    return [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in text.splitlines()
        if line.startswith("│")
    ]


def test_runs_are_listed_the_newest_first_with_jobs_of_sweeps(show: Show) -> None:
    make("runs/day/a", {"val/loss": 2.0, "test/loss": 0.5})
    make("runs/day/sweep/0-b", {"test/loss": 0.25})
    code, text = show()
    assert code == 0
    assert [row[:2] for row in rows(text)] == [
        ["day/sweep/0-b", "finished"],
        ["day/a", "finished"],
    ]
    assert [row[-2:] for row in rows(text)] == [["0.25", ""], ["0.5", "2"]]
    assert "test/loss" in text


def test_runs_are_sorted_by_a_result_and_those_without_come_last(show: Show) -> None:
    make("runs/day/a", {"loss": 2.0})
    make("runs/day/b", {})
    make("runs/day/c", {"loss": 1.0})
    _, text = show("runs", "--sort", "loss")
    assert [row[0] for row in rows(text)] == ["day/c", "day/a", "day/b"]
    _, text = show("--sort", "loss", "--last", "1")
    assert [row[0] for row in rows(text)] == ["day/c"]


def test_a_run_that_was_killed_is_not_running(workplace: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path; from leyden.runs import *;"
        "RunManifest(RunDir(Path('run'))).__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    Path("run").mkdir()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    ((run, facts),) = list_runs(workplace)
    assert facts["status"] == "running"
    assert standing(facts) == "interrupted"
    rewrite(run, host=f"not {platform.node()}")  # of which nobody here can say
    assert standing(list_runs(workplace)[0][1]) == "running"


def test_two_runs_are_compared(show: Show) -> None:
    make("one", {"loss": 2.0, "only": 1.0}, {"model": {"filters": [16]}, "seed": 1})
    make("other", {"loss": 1.5}, {"model": {"filters": [16, 32]}, "seed": 1})
    code, text = show("one", "other")
    assert code == 0
    found = rows(text)
    assert ["model.filters", "[16]", "[16, 32]"] in found
    assert ["loss", "2", "1.5", "-0.5"] in found
    assert ["only", "1", "", ""] in found
    assert not any(row[0] == "seed" for row in found)


def test_runs_of_one_configuration_say_so(show: Show) -> None:
    make("one", {})
    make("other", {})
    assert "The configurations are the same." in show("one", "other")[1]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nowhere"], "Expected `DIR` to be a folder with runs, but got 'nowhere', which does not"),
        (["empty"], "Expected `DIR` to hold runs, but found none in 'empty'."),
        (["runs", "--sort", "los"], "but got 'los'. Did you mean 'loss'? Known: loss."),
        (["runs", "--metrics", "los"], "but got 'los'. Did you mean 'loss'? Known: loss."),
        (["a", "b", "c"], "Expected a folder, or two runs, but got 3 paths."),
        (
            ["runs/day/a", "empty"],
            "Expected `path` to be a run's manifest, but got 'empty/run.json'",
        ),
    ],
)
def test_slips_are_answered_in_a_line(show: Show, arguments: list[str], problem: str) -> None:
    Path("empty").mkdir()
    make("runs/day/a", {"loss": 2.0})
    code, text = show(*arguments)
    assert code == 2
    assert problem in text
    assert len(text.splitlines()) == 1

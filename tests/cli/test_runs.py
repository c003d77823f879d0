"""``leyden runs``: what is listed, and what two runs disagree in."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from leyden.cli import main as leyden
from leyden.runs import RunDir, RunManifest, keep_code

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


def make(
    path: str,
    results: dict[str, float],
    config: dict[str, Any] | None = None,
    debug: str | None = None,
) -> RunDir:
    """Make the folder of a finished run."""
    run = RunDir(Path(path))
    run.config_dir.mkdir(parents=True)
    whole = {"seed": 0, "run_dir": path, **(config or {})}
    OmegaConf.save(OmegaConf.create(whole), run.config_dir / "2026-01-01_00-00-00.yaml")
    with RunManifest(run, command=["train.py"], debug=debug) as manifest:
        manifest.add_results(results)
    return run


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


def with_code(run: RunDir, **files: str) -> RunDir:
    """Give a run the code that its project has now."""
    for name, text in files.items():
        Path("project").mkdir(exist_ok=True)
        Path("project", f"{name}.py").write_text(text)
    keep_code(run, Path("project"))
    return run


def test_the_code_of_two_runs_is_compared(show: Show) -> None:
    with_code(make("one", {}), model="a\nb\nc\n", same="x\n")
    with_code(make("other", {}), model="a\nB\nc\nd\n", new="y\n")
    Path("project/same.py").unlink()
    with_code(make("third", {}))
    code, text = show("one", "other")
    assert code == 0
    assert ["model.py", "-1", "+2"] in rows(text)
    assert ["new.py", "not there", "+1"] in rows(text)
    assert not any(row[0] == "same.py" for row in rows(text))
    assert "-b" not in text.splitlines()
    lines = show("one", "other", "--diff")[1].splitlines()
    assert {"-b", "+B", "+d", "+y"} <= set(lines)
    assert ["same.py", "-1", "not there"] in rows(show("one", "third")[1])
    assert "The code is the same." in show("one", "one")[1]


def test_code_that_was_not_kept_is_not_compared(show: Show) -> None:
    make("one", {})
    with_code(make("other", {}), model="a\n")
    assert "The code cannot be compared: one kept none." in show("one", "other")[1]


def test_trials_are_hidden_until_they_are_asked_for(show: Show) -> None:
    make("runs/day/a", {"loss": 2.0})
    make("runs/day/b", {"loss": 1.0}, debug="fast")
    make("runs/day/c", {"loss": 1.0}, debug="overfit")
    _, text = show()
    assert [row[0] for row in rows(text)] == ["day/a"]
    assert text.splitlines()[-1] == "2 trials not shown; --all does."
    found = rows(show("--all")[1])
    assert [(row[0], row[3]) for row in found] == [
        ("day/c", "overfit"),
        ("day/b", "fast"),
        ("day/a", ""),
    ]


def test_trials_alone_are_named(show: Show) -> None:
    make("runs/day/a", {}, debug="fast")
    problem = "Expected `DIR` to hold runs, but found none in 'runs' but a trial. Pass --all.\n"
    assert show() == (2, problem)


def test_runs_of_one_configuration_say_so(show: Show) -> None:
    make("one", {})
    make("other", {})
    assert "The configurations are the same." in show("one", "other")[1]


def test_what_goes_into_a_file_is_not_folded(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    name = "a-name-of-a-run-that-is-longer-than-the-terminal-is-wide"
    make(f"runs/day/{name}", {"loss": 2.0})
    assert [row[0] for row in rows(show()[1])] == [f"day/{name}"]
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal is as wide as it is
    assert name not in show()[1]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nowhere"], "Expected `DIR` to be a folder with runs, but got 'nowhere', which does not"),
        (["empty"], "Expected `DIR` to hold runs, but found none in 'empty'."),
        (["runs", "--sort", "los"], "but got 'los'. Did you mean 'loss'? Known: loss."),
        (["runs", "--metrics", "los"], "but got 'los'. Did you mean 'loss'? Known: loss."),
        (["runs", "--diff"], "Expected two runs for --diff, but got none."),
        (["a", "b", "c"], "Expected a folder, or two runs, but got 3 paths."),
        (
            ["runs/day/a", "empty"],
            "Expected the folder of a run, but got 'empty', which has no run.json.",
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

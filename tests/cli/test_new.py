"""``leyden new``: what it makes runs, and what it refuses."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from leyden.cli import main
from leyden.cli.new import make_project
from leyden.errors import ConfigError, MissingPathError, WriteError
from leyden.resume import latest_checkpoint, load
from leyden.runs import RunDir, list_runs

FILES = {
    "README.md",
    ".gitignore",
    "pyproject.toml",
    "train.py",
    "conf/config.yaml",
    "conf/data/cells.yaml",
    "conf/model/residual.yaml",
    "heart_beats/__init__.py",
    "heart_beats/data.py",
    "heart_beats/model.py",
    "tests/test_training.py",
}


def start(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a folder, as a user would."""
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False
    )


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_project_has_its_files_and_its_name_in_them(workplace: Path) -> None:
    made = make_project(Path("heart-beats"))
    assert {str(path.relative_to(workplace / "heart-beats")) for path in made} == FILES
    assert names(Path("heart-beats")) == FILES
    assert list(workplace.iterdir()) == [workplace / "heart-beats"]
    project = tomllib.loads(Path("heart-beats/pyproject.toml").read_text())["project"]
    assert project["name"] == "heart-beats"
    for path in made:
        text = path.read_text()
        assert not any(word in text for word in ("PACKAGE", "PROJECT", "LEYDEN_VERSION"))
        if path.suffix == ".py":
            compile(text, path, "exec")


def test_its_short_training_runs(workplace: Path) -> None:
    make_project(Path("heart-beats"))
    quiet = ["debug=fast", "trainer.enable_progress_bar=false"]
    done = start(Path("heart-beats"), "train.py", *quiet)
    assert (done.returncode, done.stderr) == (0, "")
    ((run, facts),) = list_runs(Path("heart-beats/runs"))
    assert facts["status"] == "finished"
    assert (run.path / "code/heart_beats/model.py").is_file()
    assert "data/cells" not in str(sorted((run.path / "code").rglob("*.npy")))


@pytest.mark.slow
def test_both_of_its_commands_work(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["leyden", "new", "heart-beats"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    project = Path("heart-beats")
    trained = start(project, "train.py", "trainer.enable_progress_bar=false")
    assert trained.returncode == 0, trained.stderr
    ((run, facts),) = list_runs(project / "runs")
    assert facts["results"]["test/accuracy"] > 0.9
    assert RunDir(run.path).card_path.is_file()
    tested = start(project, "-m", "pytest", "-p", "no:cacheprovider")
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout


@pytest.mark.slow
def test_its_training_is_broken_off_and_goes_on_bit_for_bit(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, known)))
    make_project(Path("heart-beats"))
    project, stop = Path("heart-beats"), Path("heart-beats/stop.json")
    short = ["train.py", "trainer.max_epochs=2", "trainer.enable_progress_bar=false"]
    short.append("+callbacks.stop={_target_:stopping.StopAt,run_dir:'${run_dir}'}")
    stop.write_text(json.dumps({"run": "cut", "step": 17, "signal": "SIGTERM"}))
    codes = [start(project, *short, f"hydra.run.dir={run}").returncode for run in ("whole", "cut")]
    assert codes == [0, 143]
    stop.unlink()
    assert start(project, *short, "resume=cut").returncode == 0
    runs = [RunDir(project / run) for run in ("whole", "cut")]
    whole, cut = [load(str(latest_checkpoint(run.checkpoints_dir))) for run in runs]
    assert whole["global_step"] == cut["global_step"] > 17
    assert all(whole["state_dict"][name].equal(one) for name, one in cut["state_dict"].items())
    assert runs[0].metrics_path.read_bytes() == runs[1].metrics_path.read_bytes()


def test_an_empty_folder_elsewhere_will_do(workplace: Path) -> None:
    Path("empty/heart_beats").mkdir(parents=True)
    make_project(Path("empty/heart_beats"))
    assert Path("empty/heart_beats/heart_beats/model.py").is_file()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("1st", r"letters, digits, and single dashes between them, but got '1st'. Try my-1st\."),
        ("a--b", "letters, digits, and single dashes"),
        ("my project", r"but got 'my project'. Try my-my-project\."),
        ("näme", "letters, digits"),
        ("class", "be no word of Python's"),
        ("match", "be no word of Python's"),
        ("json", "be no module that exists"),
        ("Torch", "be no module that exists"),
        ("leyden", "be no module that exists"),
        ("tests", "be none of the project's own files"),
    ],
)
def test_a_name_that_cannot_be_a_package_is_refused(
    workplace: Path, name: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_project(Path(name))
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_there_stays(workplace: Path, kind: str) -> None:
    path = Path("heart-beats")
    if kind == "folder":
        path.mkdir()
    kept = path / "mine.txt" if kind == "folder" else path
    kept.write_text("mine")
    with pytest.raises(ConfigError, match="but 'heart-beats' exists and is not empty"):
        make_project(path)
    assert kept.read_text() == "mine"
    assert len(os.listdir(workplace)) == 1  # noqa: PTH208 - hidden ones, too


def test_a_name_that_no_folder_can_have_is_refused(workplace: Path) -> None:
    with pytest.raises(WriteError, match=r"a place that can be written to, but got.*too long"):
        make_project(Path("x" * 300))
    assert list(workplace.iterdir()) == []


def test_a_folder_to_put_it_in_is_not_made(workplace: Path) -> None:
    with pytest.raises(MissingPathError, match=r"but '.*/nowhere' is none. Make it first."):
        make_project(Path("nowhere/heart-beats"))
    assert list(workplace.iterdir()) == []

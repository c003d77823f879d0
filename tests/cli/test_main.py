"""``leyden`` and its sub-commands."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from leyden import __version__
from leyden.cli import main
from leyden.cli.arguments import evaluate, replay
from leyden.evaluation import METRICS, Method
from leyden.incidents import Source
from leyden.shards import write_shards
from leyden.types import Phase


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["leyden", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_inspect_prints_what_was_inferred(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.zeros((5, 3), np.float32)
    write_shards(Path("ecg"), {1: rows, 2: rows, 7: rows}, base="ecg__")
    assert call(monkeypatch, "inspect", "ecg") == 0
    lines = [line.split(None, 1) for line in capsys.readouterr().out.splitlines()]
    assert ["shards", "ecg__<number>.npy"] in lines
    assert ["sets", "3: 1-2, 7"] in lines
    assert ["rows", "15 (5 in a set)"] in lines
    assert ["sample", "float32 (3,)"] in lines


def test_inspect_shows_each_sub_folder(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.zeros((5, 3), np.float32)
    write_shards(Path("ecg/train"), {1: rows})
    write_shards(Path("ecg/test"), {2: rows})
    assert call(monkeypatch, "inspect", "ecg") == 0
    printed = capsys.readouterr().out
    assert "[train]\n" in printed
    assert "[test]\n" in printed


def test_inspecting_what_is_not_there_is_one_line_and_exit_code_2(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "inspect", "nowhere") == 2
    assert capsys.readouterr().err.splitlines() == [
        "Expected `path` to exist, but got 'nowhere'. Known: none."
    ]


def test_the_version_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"leyden {__version__}\n"


def test_it_is_a_module_that_can_be_run() -> None:
    command = [sys.executable, "-m", "leyden"]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"leyden {__version__}\n"
    wrong = subprocess.run([*command, "trian"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("leyden: expected a command, but got 'trian'. Did you mean")


PROGRAM = """import sys
sys.argv[0] = "leyden"
from leyden.cli import main as leyden
try:
    leyden()
finally:
    names = {"hydra", "lightning", "numpy", "rich", "torch"}
    print("# imported:", *sorted(names & set(sys.modules)))"""


@pytest.mark.parametrize(
    "words", ["--version", "--help", "pack --help", "evaluate --help", "trian"]
)
def test_what_needs_no_training_does_not_wait_for_it(words: str) -> None:
    command = [sys.executable, "-c", PROGRAM, *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == (2 if words == "trian" else 0)
    assert done.stdout.splitlines()[-1] == "# imported:"


def test_a_script_of_completion_needs_nothing_but_the_configuration() -> None:
    command = [sys.executable, "-c", PROGRAM, "completion", "bash"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "trainer.max_epochs=" in done.stdout
    imported = done.stdout.splitlines()[-1].split()
    assert "hydra" in imported
    assert not {"lightning", "torch"} & set(imported)


def test_what_is_written_down_for_help_is_what_there_is() -> None:
    assert tuple(METRICS) == evaluate.METRICS
    assert get_args(Method) == evaluate.METHODS
    assert tuple(Phase) == evaluate.PHASES
    assert get_args(Source) == replay.SOURCES


def test_train_is_handed_to_hydra(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "train", "model=cnnn") == 2
    assert "Did you mean 'cnn'?" in capsys.readouterr().err


def test_a_misspelt_command_is_answered_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "trian") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("leyden: expected a command, but got 'trian'. Did you mean 'train'?")

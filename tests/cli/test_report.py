"""``leyden report``: a run on one page."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leyden.cli import main as leyden
from leyden.runs import RunDir, RunManifest

Report = Callable[..., tuple[int, str, str]]


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Report:
    """Run the command; give its exit code and what it says."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["leyden", "report", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            leyden()
        code = caught.value.code
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    with RunManifest(RunDir(tmp_path / "run")):
        pass
    return tmp_path / "run"


def test_page_is_written_into_the_run_and_named(report: Report, run_dir: Path) -> None:
    assert report(run_dir) == (0, f"{run_dir / 'report.html'}\n", "")
    assert (run_dir / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_page_may_go_elsewhere(report: Report, run_dir: Path, tmp_path: Path) -> None:
    page = tmp_path / "pages" / "a.html"
    assert report(run_dir, "--output", page) == (0, f"{page}\n", "")
    assert page.exists()
    assert not (run_dir / "report.html").exists()


def test_folder_without_a_run_is_a_slip(report: Report, tmp_path: Path) -> None:
    code, out, err = report(tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("Expected `run_dir` to be the folder of a run, but got")


def test_place_that_cannot_be_written_is_a_slip(report: Report, run_dir: Path) -> None:
    code, out, err = report(run_dir, "--output", run_dir / "run.json" / "a.html")
    assert (code, out) == (2, "")
    assert err.startswith("Expected files that can be read and written, but got")
    assert "Traceback" not in err

"""``leyden report``: a run on one page."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leyden.cli import main as leyden
from leyden.cli.report import renew_page
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
    assert err.endswith("run.json' is a file. Choose another place.\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["rows.csv", "run/run.json"])
def test_a_file_that_is_no_page_is_never_replaced(
    report: Report, run_dir: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")
    before = (tmp_path / name).read_bytes()
    code, out, err = report(run_dir, "--output", tmp_path / name)
    assert (code, out) == (2, "")
    assert re.fullmatch(r"Expected a file that may be replaced, but .* ends in \.html\.\n", err)
    assert (tmp_path / name).read_bytes() == before


def test_a_folder_is_no_page(report: Report, run_dir: Path, tmp_path: Path) -> None:
    code, out, err = report(run_dir, "--output", tmp_path)
    assert (code, out) == (2, "")
    assert err.endswith("that is a folder. Choose another place.\n")


def test_a_page_that_is_there_is_written_again_and_no_other_is_made(run_dir: Path) -> None:
    run = RunDir(run_dir)
    assert renew_page(run) is None
    assert not run.page_path.exists()
    run.page_path.write_text("old")
    assert renew_page(run) == run.page_path
    assert run.page_path.read_text().startswith("<!DOCTYPE html>")


def test_a_page_that_cannot_be_written_again_is_no_reason_to_fail(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDir(run_dir)
    run.page_path.write_text("old")
    run.manifest_path.write_text("{")
    assert renew_page(run) is None
    assert capsys.readouterr().err.startswith(f"{run.page_path} is as it was: Expected")
    assert run.page_path.read_text() == "old"

"""The code that a run was started with."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from leyden.runs import RunDir, SnapshotLimits, keep_code, snapshot_dirs

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, and a git that knows nobody's settings."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return write(tmp_path / "project", "train.py", "conf/train.yaml", "package/data/cells.py")


def write(folder: Path, *names: str, text: str = "one = 1\n") -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def git(folder: Path, *command: str) -> str:
    options = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
    done = subprocess.run(
        ["git", *options, *command], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit_all(folder: Path) -> str:
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=all", "--no-verify")
    return git(folder, "rev-parse", "HEAD")


def keep(
    project: Path, run: str = "runs/day/a", limits: SnapshotLimits | None = None
) -> tuple[RunDir, dict[str, Any], list[str]]:
    """Keep the code in a run below the project, and say what is known and what was not kept."""
    found = RunDir(project / run)
    found.path.mkdir(parents=True, exist_ok=True)
    return found, *keep_code(found, project, exclude=[project / "runs"], limits=limits)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


CODE = {"train.py", "conf/train.yaml", "package/data/cells.py"}


def test_a_project_without_git_keeps_its_code_and_nothing_else(project: Path) -> None:
    write(project, "README.md", "data/1/labels.yaml", ".venv/a.py", "env/pyvenv.cfg", "env/b.py")
    write(project, "package/__pycache__/c.py", "runs/day/b/config/d.yaml", ".hidden/e.py")
    run, facts, problems = keep(project)
    assert problems == []
    assert names(run.path / "code") == {*CODE, "commit.json"}
    assert (run.path / "code/train.py").read_text() == "one = 1\n"
    assert (facts["folder"], facts["commit"], facts["num_files"]) == ("code", None, 3)
    assert facts["is_changed"] is None


@needs_git
def test_a_repository_adds_its_commit_and_what_differs_from_it(project: Path) -> None:
    write(project, ".gitignore", text="*_secret.py\nignored/\n")
    commit = commit_all(project)
    run, facts, problems = keep(project)
    assert (facts["commit"], facts["branch"], facts["is_changed"]) == (commit, "main", False)
    assert not (run.path / "code/changes.diff").exists()
    write(project, "train.py", "new.py", "notes.txt", text="two = 2\n")
    write(project, "my_secret.py", "ignored/a.py", ".venv/b.py", "data/c.yaml", ".env")
    run, facts, problems = keep(project, "runs/day/b")
    assert problems == []
    assert names(run.path / "code") == {*CODE, "new.py", "commit.json", "changes.diff"}
    assert facts["is_changed"] is True
    known = json.loads((run.path / "code/commit.json").read_text())
    assert (known["commit"], known["branch"], known["is_changed"]) == (commit, "main", True)
    patch = (run.path / "code/changes.diff").read_text()
    assert "-one = 1\n+two = 2\n" in patch
    for name in ("secret", "ignored", ".venv", "data/c.yaml", ".env", "runs/"):
        assert name not in patch


@needs_git
def test_the_commit_and_the_patch_make_the_working_tree_again(project: Path) -> None:
    write(project, "gone.py", "binary.bin")
    commit_all(project)
    write(project, "train.py", "nested/new.py", text="two = 2\n")
    (project / "gone.py").unlink()
    (project / "binary.bin").write_bytes(bytes(range(256)))
    run, _, _ = keep(project)
    copy = project.parent / "copy"
    git(project.parent, "clone", "--quiet", str(project), str(copy))
    git(copy, "apply", str(run.path / "code/changes.diff"))
    for name in ("train.py", "nested/new.py", "binary.bin"):
        assert (copy / name).read_bytes() == (project / name).read_bytes()
    assert not (copy / "gone.py").exists()


def fingerprint(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@needs_git
def test_nothing_in_the_repository_is_touched(project: Path) -> None:
    write(project, ".gitignore", text="runs/\n")
    commit_all(project)
    write(project, "train.py", text="staged = 1\n")
    git(project, "add", "train.py")
    write(project, "train.py", "new.py", text="changed = 1\n")
    staged = git(project, "diff", "--cached")
    os.utime(project / "conf/train.yaml", (0, 0))  # which makes git want to write its index anew
    before = fingerprint(project / ".git")
    _, facts, problems = keep(project)
    assert (facts["is_changed"], problems) == (True, [])
    assert fingerprint(project / ".git") == before
    assert git(project, "diff", "--cached") == staged


@needs_git
def test_a_folder_of_a_repository_keeps_its_own_files_and_all_that_differs(project: Path) -> None:
    write(project, "library/shared.py")
    commit_all(project)
    write(project, "library/shared.py", text="two = 2\n")
    run, facts, _ = keep(project / "package")
    assert names(run.path / "code") == {"data/cells.py", "commit.json", "changes.diff"}
    assert "library/shared.py" in (run.path / "code/changes.diff").read_text()
    assert facts["commit"] == git(project, "rev-parse", "HEAD")


@needs_git
def test_a_change_as_new_as_the_last_commit_is_kept(project: Path) -> None:
    os.utime(project / "train.py", (1_000, 1_000))
    commit_all(project)
    git(project, "config", "core.trustctime", "false")
    write(project, "train.py", text="two = 2\n")  # as long as it was
    for path in (project / "train.py", project / ".git/index"):
        os.utime(path, (1_000, 1_000))
    run, facts, _ = keep(project)
    assert facts["is_changed"]
    assert "+two = 2" in (run.path / "code/changes.diff").read_text()


@needs_git
def test_submodules_and_repositories_within_are_kept_too(project: Path) -> None:
    other = write(project.parent / "other", "inner/tool.py", "ignored.py")
    write(other, ".gitignore", text="ignored.py\n")
    commit_all(other)
    commit_all(project)
    git(project, "submodule", "--quiet", "add", str(other), "vendor/other")
    commit_all(project)
    shutil.copytree(other, project / "copied")
    write(project, "vendor/other/inner/tool.py", text="two = 2\n")
    write(project, "vendor/other/ignored.py")
    run, _, problems = keep(project)
    assert problems == []
    inner = {"vendor/other/inner/tool.py", "copied/inner/tool.py"}
    assert names(run.path / "code") == {*CODE, *inner, "commit.json", "changes.diff"}
    assert (run.path / "code/vendor/other/inner/tool.py").read_text() == "two = 2\n"


@pytest.mark.parametrize("with_git", [False, pytest.param(True, marks=needs_git)])
def test_names_may_be_anything(project: Path, with_git: bool) -> None:
    odd = ["with space.py", "line\nbreak.py", "ümläut.py", "'quote\".py", "-n.py", "a*[b]?.py"]
    odd += [os.fsdecode(b"\xff\xfe.py"), ":(top)x.py", "$(echo).py"]
    if with_git:
        commit_all(project)
    write(project, *odd)
    run, facts, problems = keep(project)
    assert problems == []
    assert set(odd) <= names(run.path / "code")
    assert facts["is_changed"] is (True if with_git else None)


def test_what_is_no_file_is_left_alone(project: Path) -> None:
    (project / "link.py").symlink_to("train.py")
    (project / "nowhere.py").symlink_to("missing.py")
    (project / "loop").symlink_to(".")
    os.mkfifo(project / "pipe.py")
    (project / "folder.py").mkdir()
    run, _, problems = keep(project)
    assert problems == []
    assert names(run.path / "code") == {*CODE, "link.py", "commit.json"}
    assert not (run.path / "code/link.py").is_symlink()


@pytest.mark.parametrize("with_git", [False, pytest.param(True, marks=needs_git)])
def test_what_is_too_large_is_left_out_and_named(project: Path, with_git: bool) -> None:
    if with_git:
        commit_all(project)
    write(project, "large.yaml", text="x" * 200)
    run, facts, problems = keep(project, limits=SnapshotLimits(file=100))
    assert "Too large to be kept with the code: large.yaml." in problems
    assert not (run.path / "code/large.yaml").exists()
    assert facts["num_files"] == 3
    for limits in (SnapshotLimits(total=10), SnapshotLimits(files=1)):
        run, facts, problems = keep(project, "runs/other", limits)
        assert "and" in problems[0]
        assert facts["num_files"] == 1
        shutil.rmtree(run.path)


def test_a_tree_without_end_is_given_up(project: Path) -> None:
    _, facts, problems = keep(project, limits=SnapshotLimits(entries=2))
    assert problems == ["Not all code was kept: there are more than 2 files."]
    assert facts["num_files"] <= 2


@needs_git
def test_without_git_a_repository_is_a_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_all(project)
    monkeypatch.setenv("PATH", str(project))
    run, facts, problems = keep(project)
    assert (facts["commit"], problems) == (None, [])
    assert names(run.path / "code") == {*CODE, "commit.json"}


@needs_git
def test_a_broken_repository_is_named_and_the_files_are_kept(project: Path) -> None:
    commit_all(project)
    (project / ".git/HEAD").write_text("nonsense")
    run, facts, problems = keep(project)
    assert len(problems) == 1
    assert problems[0].startswith("The commit of the code was not kept: git: fatal: ")
    assert names(run.path / "code") == {*CODE, "commit.json"}
    assert facts["commit"] is None


@needs_git
def test_a_repository_without_a_commit_keeps_its_files(project: Path) -> None:
    git(project, "init", "--quiet", "--initial-branch=main")
    run, facts, problems = keep(project)
    assert problems == []
    assert (facts["commit"], facts["branch"]) == (None, "main")
    assert names(run.path / "code") == {*CODE, "commit.json"}


@needs_git
def test_git_of_somebody_else_in_the_environment_is_not_asked(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write(project.parent / "other", "a.py")
    commit_all(other)
    commit = commit_all(project)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert keep(project)[1]["commit"] == commit


def test_a_later_start_keeps_code_only_if_it_has_changed(project: Path) -> None:
    run, first, _ = keep(project)
    _, second, _ = keep(project)
    assert (first["folder"], second["folder"]) == ("code", "code")
    write(project, "train.py", text="two = 2\n")
    assert keep(project)[1]["folder"] == "code-2"
    assert keep(project)[1]["folder"] == "code-2"
    assert [path.name for path in snapshot_dirs(run)] == ["code", "code-2"]
    assert (run.path / "code/train.py").read_text() == "one = 1\n"


def test_a_folder_that_cannot_be_written_is_a_problem_and_no_error(project: Path) -> None:
    run = RunDir(write(project, "file") / "file")
    facts, problems = keep_code(run, project)
    assert facts["folder"] is None
    assert len(problems) == 1
    assert problems[0].startswith("The code was not kept: ")


def test_a_snapshot_that_was_written_to_by_hand_is_not_taken_for_the_same(project: Path) -> None:
    run, _, _ = keep(project)
    (run.path / "code/commit.json").write_text("{")
    assert keep(project)[1]["folder"] == "code-2"

import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from leyden.callbacks import RuntimeInputHook, StageHooks
from leyden.lifecycle import RunView

Quick = Callable[..., Trainer]


class Editing:
    """Writes to the file after each step."""

    def __init__(self, path: Path, *contents: str | None) -> None:
        self.path, self.contents = path, list(contents)

    def after_step(self, step: int, results: Any) -> None:
        content = self.contents.pop(0) if self.contents else None
        if content is not None:
            self.path.write_text(content)


def run(quick: Quick, path: Path, *contents: str | None) -> list[Any]:
    heard: list[Any] = []
    hooks = StageHooks([RuntimeInputHook(path, heard.append), Editing(path, *contents)])
    quick(hooks, limit_train_batches=1 + len(contents), limit_val_batches=0).fit(BoringModel())
    return heard


def test_a_file_is_made_and_says_nothing(quick: Quick, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "input.yaml"
    assert run(quick, path) == []
    assert path.read_text().startswith("# ")


def test_every_difference_is_heard_with_all_there_is(quick: Quick, tmp_path: Path) -> None:
    path = tmp_path / "input.yaml"
    path.write_text("lr: 1.0")
    contents = ["lr: 2.0", None, "lr: 2.0  # the same", "lr: 2.0\nstop: true", "stop: true", "# -"]
    assert run(quick, path, *contents) == [
        {"lr": 1.0},
        {"lr": 2.0},
        {"lr": 2.0, "stop": True},
        {"stop": True},
        None,
    ]


def test_a_file_that_is_about_to_be_written_changes_nothing(quick: Quick, tmp_path: Path) -> None:
    path = tmp_path / "input.yaml"
    path.write_text("lr: 1.0")
    assert run(quick, path, "", "lr: 2.0", "\n", "lr: 2.0") == [{"lr": 1.0}, {"lr": 2.0}]


def test_a_broken_file_is_reported_once_and_changes_nothing(
    quick: Quick, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "input.yaml"
    path.write_text("lr: 1.0")
    contents = ["lr: [", None, None, "lr: 1.0", "lr: 3.0", "lr: ["]
    assert run(quick, path, *contents) == [{"lr": 1.0}, {"lr": 3.0}]
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert "input.yaml cannot be read, and what it was before stays" in errors[0].message


def test_a_file_that_is_not_written_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, heard = tmp_path / "input.yaml", list[Any]()
    path.write_text("a: 1")
    os.utime(path, (1e9, 1e9))
    hook = RuntimeInputHook(path, heard.append)
    hook.attach(make_view(tmp_path))
    hook.before_step(0, {}, {}, None)
    monkeypatch.setattr(Path, "read_text", None)
    hook.before_step(1, {}, {}, None)
    assert heard == [{"a": 1}]


def make_view(folder: Path, **facts: Any) -> RunView:
    defaults = {"is_global_zero": True, "world_size": 1, "fast_dev_run": False}
    return RunView(SimpleNamespace(**(defaults | facts)), None, folder)


def test_other_processes_hear_what_the_first_one_read(tmp_path: Path) -> None:
    heard: list[Any] = []
    hook = RuntimeInputHook(tmp_path / "input.yaml", heard.append)
    strategy = SimpleNamespace(broadcast=lambda content: {"from": "the first"})
    hook.attach(make_view(tmp_path, is_global_zero=False, world_size=2, strategy=strategy))
    hook.before_step(0, {}, {}, None)
    hook.before_step(1, {}, {}, None)
    assert heard == [{"from": "the first"}]
    assert list(tmp_path.iterdir()) == []

"""Runs that are broken off and gone on with, in processes of their own."""

import json
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leyden.cli import main

# A process that has imported everything, of which each run is a fork: importing takes longer.
_SERVER = multiprocessing.get_context("forkserver")
Command = Callable[..., int]


@pytest.fixture
def command(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run ``leyden`` in a process of its own; give its exit code, negative for a signal."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    _SERVER.set_forkserver_preload(["leyden.cli.main", "leyden.callbacks", "training_script"])

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["leyden", *arguments])
        process = _SERVER.Process(target=main)
        process.start()
        process.join(timeout=300)
        assert process.exitcode is not None
        return process.exitcode

    return run


@pytest.fixture
def stop(workplace: Path) -> Callable[..., None]:
    """Have runs broken off from now on, or with ``None`` no more."""

    def write(run: str | None, **how: object) -> None:
        if run is None:
            Path("stop.json").unlink()
        else:
            Path("stop.json").write_text(json.dumps({"run": run, **how}))

    return write

"""What every command promises: help that teaches, and a line and exit code 2 for a slip."""

import argparse
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from leyden.cli import main
from leyden.cli.command import Commands
from leyden.cli.main import GROUPS, make_parser
from leyden.shards import write_shards

Call = Callable[..., tuple[int, str, str]]
COMMANDS: Commands = make_parser()[1]
NAMES = sorted(COMMANDS.choices)
every_command = pytest.mark.parametrize("name", NAMES)

# What a command needs besides its first argument to look at that.
MORE = {
    "pack": ["shards"],
    "replay": ["--step", "1"],
    "verify-resume": ["--steps", "4", "--interruptions", "1"],
}


def first_arguments(parser: argparse.ArgumentParser) -> Sequence[argparse.Action]:
    """The arguments without a name, as ``argparse`` keeps them."""
    return [action for action in parser._actions if not action.option_strings]


TAKES_RUN = [
    name
    for name in NAMES
    if any(action.metavar == "RUN" for action in first_arguments(COMMANDS.choices[name]))
]


@pytest.fixture
def call(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Run ``leyden``; give its exit code, and what it says to whom."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["leyden", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return (code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


def assert_one_line(found: tuple[int, str, str]) -> str:
    """See that a slip is answered in a line, and give it."""
    code, out, err = found
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert "Traceback" not in line
    return line


@every_command
def test_help_says_what_it_does_with_examples_and_exit_codes(call: Call, name: str) -> None:
    code, text, _ = call(name, "--help")
    assert code == 0
    examples = text.partition("examples:\n")[2].partition("exit codes:\n")[0]
    assert len(re.findall(rf"^ +leyden {name} ", examples, re.MULTILINE)) >= 2
    codes = text.partition("exit codes:\n")[2].splitlines()
    assert codes[0].split()[0] == "0"
    assert any(line.split()[:1] == ["2"] for line in codes)
    assert max(map(len, examples.splitlines())) <= 100


def test_the_overview_shows_every_command_in_a_group(call: Call) -> None:
    code, text, _ = call("--help")
    assert code == 0
    for name in NAMES:
        assert any(name in group for group in GROUPS.values())
        summary = COMMANDS.choices[name].get_default("summary")
        assert re.search(rf"^  {name} +{re.escape(summary)}$", text, re.MULTILINE)
    assert [f"{title}:" in text for title in GROUPS] == [True] * len(GROUPS)


@every_command
def test_an_unknown_option_is_answered_with_the_nearest(call: Call, name: str) -> None:
    needed = ["x"] * sum(
        action.nargs not in ("*", "?") for action in first_arguments(COMMANDS.choices[name])
    )
    if name == "completion":
        needed = ["bash"]
    line = assert_one_line(call(name, "--hlep", *needed))
    assert "but got '--hlep'. Did you mean '--help'?" in line


@every_command
def test_arguments_that_are_missing_or_too_many_are_one_line(call: Call, name: str) -> None:
    is_free = any(action.nargs in ("*", "?") for action in first_arguments(COMMANDS.choices[name]))
    if name == "train":
        assert "Expected an override key=value" in assert_one_line(call(name, "x"))
    elif is_free and name != "resume":
        assert_one_line(call(name, "x", "y", "z"))
    else:
        assert "are required" in assert_one_line(call(name))


@pytest.mark.parametrize("arguments", [[], ["inspct", "x"], ["--vresion"]])
def test_what_is_no_command_is_one_line(call: Call, arguments: list[str]) -> None:
    assert "See `leyden --help`." in assert_one_line(call(*arguments))


BAD = {
    "missing": "",
    "file": "a file",
    "empty": None,
    "torn": '{"status": "fin',
    "no_object": "[]",
    "no_facts": "{}",
    "binary": "\0\1\2",
}


def make_bad(kind: str) -> None:
    """Make what is no run, or a broken one, below its name."""
    if kind == "file":
        Path(kind).write_text("no run")
    elif kind != "missing":
        Path(kind).mkdir()
        Path(kind, "other.txt").write_text("something else")
    text = BAD[kind]
    if kind not in ("missing", "file") and text is not None:
        Path(kind, "run.json").write_text(text)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", TAKES_RUN)
def test_what_is_no_run_is_named_in_one_line(call: Call, name: str, kind: str) -> None:
    make_bad(kind)
    others = list(first_arguments(COMMANDS.choices[name]))[1:]
    needed = ["x" for action in others if action.nargs not in ("*", "?")]
    line = assert_one_line(call(name, kind, *needed, *MORE.get(name, [])))
    assert kind in line
    assert "Expected " in line


@pytest.mark.parametrize("kind", BAD)
def test_a_list_and_a_comparison_name_what_is_no_run(call: Call, kind: str) -> None:
    make_bad(kind)
    assert kind in assert_one_line(call("runs", kind, kind))
    assert kind in assert_one_line(call("runs", kind))


@pytest.mark.parametrize("kind", BAD)
def test_training_names_what_it_cannot_go_on_with(call: Call, kind: str) -> None:
    make_bad(kind)
    assert kind in assert_one_line(call("train", f"resume={kind}"))
    assert not Path("runs").exists() or not list(Path("runs").rglob("*.json"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "nowhere"],
        ["pack", "nowhere", "shards"],
        ["pack", "nowhere", "shards", "--size", "3"],
        ["pack", "nowhere", "shards", "--rows-per-shard", "many"],
        ["new", "1st"],
        ["completion", "tcsh"],
        ["verify-resume", "--", "no-such-program"],
        ["verify-resume", "--steps", "0", "--", "true"],
        ["train", "model=cnnn"],
        ["train", "trainer.max_epoch=3"],
        ["runs", "--last", "-1"],
    ],
    ids=" ".join,
)
def test_other_slips_are_one_line(call: Call, arguments: list[str]) -> None:
    assert_one_line(call(*arguments))


def test_ctrl_c_ends_a_command_without_a_traceback(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press_ctrl_c(*_arguments: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("leyden.cli.inspect._inspect", press_ctrl_c)
    assert call("inspect", str(tmp_path)) == (130, "", "")


def test_a_reader_that_has_gone_is_told_nothing(tmp_path: Path) -> None:
    write_shards(tmp_path, {1: np.zeros((4, 2), np.float32)})
    reads, writes = os.pipe()
    os.close(reads)
    command = [sys.executable, "-m", "leyden", "inspect", str(tmp_path)]
    done = subprocess.run(command, stdout=writes, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writes)
    assert (done.returncode, done.stderr) == (141, "")

"""``leyden completion``: what shells offer, as the shells themselves say."""

import shutil
import subprocess
from pathlib import Path

import pytest

from leyden.cli.completion import Shell, completion_script
from leyden.cli.main import make_parser

_ASK_BASH = """
source ./script
COMP_LINE=$1; COMP_POINT=${#1}; read -ra COMP_WORDS <<< "${1//=/ = }"
[[ $1 == *" " || $1 == *= ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_leyden
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell: Shell) -> str:
    return completion_script(make_parser()[1], shell)


def ask_bash(line: str) -> list[str]:
    """Have bash complete a line, with the words that it makes of it."""
    Path("script").write_text(script("bash"))
    done = subprocess.run(
        ["bash", "--norc", "-c", _ASK_BASH, "bash", line],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def ask_fish(line: str) -> list[str]:
    Path("script").write_text(script("fish"))
    command = ["fish", "--no-config", "-c", "source ./script; complete -C $argv", line]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [one.partition("\t")[0] for one in done.stdout.splitlines()]


# What is typed, and what is offered; bash replaces what is behind the last `=`.
CASES = {
    "leyden re": {"replay", "report", "resume"},
    "leyden runs --la": {"--last"},
    "leyden pack --color ": {"rgb", "grayscale"},
    "leyden replay RUN --from ": {"auto", "incident", "checkpoint"},
    "leyden completion ": {"bash", "zsh", "fish"},
    "leyden train optimizer=ad": {"optimizer=adam", "optimizer=adamw"},
    "leyden train seed=1 trainer.max_e": {"trainer.max_epochs="},
    "leyden train --mul": {"--multirun"},
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("line", CASES)
def test_bash_offers_what_can_follow(workplace: Path, line: str) -> None:
    typed = line.rpartition(" ")[2]
    kept = typed[: typed.rfind("=") + 1]
    assert set(ask_bash(line)) == {one.removeprefix(kept) for one in CASES[line]}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("line", ["leyden report ", "leyden pack --labels ", "leyden new x"])
def test_bash_leaves_files_to_itself(workplace: Path, line: str) -> None:
    assert ask_bash(line) == []


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
@pytest.mark.parametrize("line", CASES)
def test_fish_offers_what_can_follow(workplace: Path, line: str) -> None:
    assert CASES[line] <= set(ask_fish(line))


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh_takes_the_script(workplace: Path) -> None:
    Path("script").write_text(script("zsh"))
    command = "source ./script; print ${_comps[leyden]}"
    done = subprocess.run(
        ["zsh", "--no-rcs", "-c", command], capture_output=True, text=True, check=True
    )
    assert (done.stderr, "_leyden" in done.stdout) == ("", True)


def test_every_command_is_in_every_script() -> None:
    names = make_parser()[1].choices
    for shell in ("bash", "zsh", "fish"):
        text = script(shell)
        assert all(name in text for name in names)

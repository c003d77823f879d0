"""Options of ``leyden train``."""

import re
from pathlib import Path

import pytest
from hydra._internal.utils import get_args_parser

from leyden.cli.options import TRAIN_OPTIONS, read_options
from leyden.errors import ConfigError


def test_these_are_the_options_of_hydra() -> None:
    known = re.findall(r"--[a-z-]+", get_args_parser().format_usage())
    assert set(TRAIN_OPTIONS) == set(known)


def test_options_come_before_overrides_with_their_values(workplace: Path) -> None:
    Path("conf").mkdir()
    words = [
        "seed=1",
        "-cd",
        "conf",
        "model=mlp",
        "-m",
        "~test",
        "--cfg",
        "job",
        "-cn=mine",
        "+a=1",
    ]
    typed = read_options(words, "train")
    assert typed.words == [
        *("-cd", "conf", "-m", "--cfg", "job", "-cn=mine"),
        *("seed=1", "model=mlp", "~test", "+a=1"),
    ]
    assert (typed.folder, typed.name) == (Path("conf"), "mine")


def test_without_options_everything_stays(workplace: Path) -> None:
    typed = read_options(["resume=runs/a=1", "lr=-1"], "train")
    assert (typed.words, typed.folder) == (["resume=runs/a=1", "lr=-1"], None)
    assert typed.name == "train"


def test_a_value_that_may_be_left_out_is_no_override(workplace: Path) -> None:
    assert read_options(["a=1", "--info", "b=1"], "train").words == ["--info", "a=1", "b=1"]
    assert read_options(["a=1", "--info", "all"], "train").words == ["--info", "all", "a=1"]


def test_the_beginning_of_an_option_will_do() -> None:
    assert read_options(["a=1", "--multi"], "train").words == ["--multi", "a=1"]


@pytest.mark.parametrize("word", ["--mutlirun", "-x", "-", "--", "--Help"])
def test_what_is_no_option_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match=f"Expected an option of Hydra, but got '{word}'"):
        read_options([word], "train")

"""Wrong values are refused, with where they come from; right ones are not, in anybody's classes."""

import sys
from pathlib import Path
from typing import Any

import pytest

from leyden.config import Sources, check_config
from leyden.errors import ConfigError

MINE = """
from typing import Literal


class Mine:
    def __init__(self, size: int, mode: Literal["slow", "fast"] = "slow", rate: float = None): ...


class Free:
    def __init__(self, size, **others): ...
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_to_check.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mine_to_check", raising=False)


def check(config: dict[str, Any], *overrides: str) -> None:
    check_config(config, Sources(overrides))


def section(**values: Any) -> dict[str, Any]:
    return {"callbacks": {"mine": {"_target_": "mine_to_check.Mine", **values}}}


def test_what_fits_a_class_of_somebody_else_passes(mine: None) -> None:
    check(section(size=3))
    check(section(size=3, mode="fast", rate=None))  # which is the default
    check(section(size=3, rate=1, _partial_=True))
    check({"callbacks": {"mine": {"_target_": "mine_to_check.Free", "size": "any", "more": 1}}})


WRONG = [
    ({"size": "big"}, r"`callbacks\.mine\.size` to be a whole number, but got 'big'\."),
    ({"size": 1, "rate": "fast"}, r"`callbacks\.mine\.rate` to be a number, but got 'fast'\."),
    (
        {"size": 1, "mode": "fest"},
        r"to be 'slow' or 'fast', but got 'fest'\. Did you mean 'fast'\?",
    ),
    (
        {"siize": 1},
        r"to have arguments of mine_to_check\.Mine, but got 'siize'\. Did you mean 'size'",
    ),
]


@pytest.mark.parametrize(("values", "problem"), WRONG)
def test_what_does_not_fit_it_is_refused(mine: None, values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        check(section(**values))


def test_a_target_that_is_not_there_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"`model\._target_` to be an import path, but got 'no\.N"
    ):
        check({"model": {"_target_": "no.Net"}})


def test_recipes_are_checked_by_what_their_names_stand_for() -> None:
    with pytest.raises(
        ConfigError, match=r"`optimizer\.momentum` to be a number, but got 'much'\."
    ):
        check({"optimizer": {"type": "sgd", "momentum": "much"}})
    problem = (
        r"`model\.network\.dropout` to be a number, but got 'high'\. It comes from the override "
    )
    network = {"type": "mlp", "dropout": "high"}
    with pytest.raises(ConfigError, match=problem + r"model\.network=\{dropout: high\}\."):
        check({"model": {"network": network}}, "model.network={dropout: high}")
    with pytest.raises(ConfigError, match=r"`optimizer\.lr` to be a number"):
        check({"optimizer": {"type": "torch.optim.Adagrad", "lr": "fast"}})
    check({"scheduler": {"type": "cosine", "T_max": "auto", "warmup": 3}})


def test_short_names_of_kornias_are_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("kornia")  # an extra
    recipe = {"type": "kornia.RandomAffine", "degrees": [-10, 10], "probability": 0.5}
    data = {"_target_": "leyden.data.AutoDataModule", "path": "x", "augmentors": [recipe]}
    check({"data": data})
    assert caplog.records == []


def test_ranges_are_asked_of_who_knows_them() -> None:
    data = {"_target_": "leyden.data.AutoDataModule", "path": None, "default": "digits"}
    check({"data": data})
    problem = r"`data\.batch_size` to be a whole number from 1, but got -3\. It comes from the over"
    with pytest.raises(ConfigError, match=problem):
        check({"data": {**data, "batch_size": -3}}, "data.batch_size=4", "data.batch_size=-3")
    with pytest.raises(ConfigError, match=r"Invalid learning rate: -1"):
        check({"optimizer": {"type": "adam", "lr": -1}})


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def test_the_file_that_a_value_comes_from_is_found(workplace: Path) -> None:
    write("conf/train.yaml", "seed: 0\nrun_dir: ${hydra:runtime.output_dir}\n")
    write("conf/trainer/cpu.yaml", "max_epochs: 3\ndevices: 1\n")
    write("conf/trainer/big.yaml", "defaults:\n  - cpu\ndevices: 2\n")
    write("conf/data/mine.yaml", "seed: ${oc.select:seed,0}\n")
    write("conf/experiment/one.yaml", "# @package _global_\ntrainer:\n  max_steps: 5\n")
    choices = {"trainer": "big", "data": "mine", "experiment": "one", "hydra/launcher": "basic"}
    sources = Sources(["trainer=big", "+data.size=3"], choices, [workplace / "conf"])
    assert sources.find("trainer.devices") == "conf/trainer/big.yaml"
    assert sources.find("trainer.max_epochs") == "conf/trainer/cpu.yaml"
    assert sources.find("trainer.max_steps") == "conf/experiment/one.yaml"
    assert sources.find("data.size") == "the override +data.size=3"
    assert sources.find("data.seed") == "conf/train.yaml"  # to which it refers
    assert sources.find("data.other") is None

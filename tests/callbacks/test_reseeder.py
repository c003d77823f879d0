import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from leyden.callbacks import Reseeder, StageHooks
from leyden.errors import ConfigError
from leyden.lifecycle import STAGES, HookSet

Quick = Callable[..., Trainer]


@pytest.fixture(autouse=True)
def put_the_generators_back() -> Iterator[None]:
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


def draw() -> tuple[float, float, float]:
    return random.random(), np.random.random(), torch.rand(1).item()


def drawn_after(seed: int) -> tuple[float, float, float]:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return draw()


def fire(reseeder: Reseeder, *stages: Any) -> None:
    run: Any = type("Run", (), {"counters": None})()
    for stage in stages:
        HookSet([reseeder]).fire(run, stage)


def test_seeds_grow_at_every_second_time_of_the_stage() -> None:
    reseeder = Reseeder({"python": 3, "numpy": 5, "torch": 7}, {"train:epoch": 2})
    draw()
    fire(reseeder, "train:epoch", "train:batch")
    assert reseeder.seeds == {"python": 3, "numpy": 5, "torch": 7}
    fire(reseeder, "train:epoch")
    assert reseeder.seeds == {"python": 4, "numpy": 6, "torch": 8}
    fire(reseeder, "train:epoch", "train:epoch")
    assert reseeder.seeds == {"python": 5, "numpy": 7, "torch": 9}


def test_all_three_generators_are_set() -> None:
    fire(Reseeder(41, {"val_end": 1}), "val_end")
    assert draw() == drawn_after(42)


def test_the_end_of_any_validation_counts() -> None:
    reseeder = Reseeder(0, {"val_end": 1})
    fire(reseeder, "val_end", ("val_end", "train:epoch"))
    assert reseeder.seeds["torch"] == 2


def test_all_stages_but_loading_raise_the_seeds() -> None:
    every = dict.fromkeys(STAGES[:-1], 1)  # without the pair
    reseeder = Reseeder(0, every)
    fire(reseeder, *every)
    assert set(reseeder.seeds.values()) == {8}


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_resumed_run_draws_the_numbers_of_the_other(
    quick: Quick, tmp_path: Path, is_alone: bool
) -> None:
    def note(_: Any) -> None:
        numbers.append(draw())

    def callbacks_with(reseeder: Reseeder) -> list[StageHooks]:
        return [reseeder, StageHooks(stages)] if is_alone else [StageHooks([reseeder, stages])]

    numbers: list[Any] = []
    stages = {"train:iter": note}
    trainer = quick(*callbacks_with(Reseeder()))
    trainer.fit(BoringModel())
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    expected = [draw() for _ in range(3)]
    numbers.clear()
    draw()
    resumed = Reseeder()
    trainer = quick(*callbacks_with(resumed), max_epochs=2)
    trainer.fit(BoringModel(), ckpt_path=tmp_path / "one.ckpt")
    assert numbers == expected
    assert resumed.seeds["torch"] == 2  # at saving, and after the second epoch


def test_state_of_other_stages_begins_their_counts_anew() -> None:
    saved, other = Reseeder(0, {"train:iter": 2}), Reseeder(9, {"val:iter": 1, "train:iter": 2})
    fire(saved, "train:iter")
    HookSet(other).load_state_dict(HookSet(saved).state_dict())
    fire(other, "train:iter")
    assert other.seeds["torch"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": 1.0}, "`seeds` to be a whole number from 0, but got 1.0"),
        ({"seeds": True}, "`seeds` to be a whole number from 0, but got True"),
        ({"seeds": {"python": 1}}, r"keys \['numpy', 'python', 'torch'\], but got \['python'\]"),
        ({"every": {"train:epoc": 1}}, "but got 'train:epoc'. Did you mean 'train:epoch'"),
        ({"every": {"save": 0}}, r"`every\['save'\]` to be a whole number from 1, but got 0"),
    ],
)
def test_arguments_are_checked(arguments: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Reseeder(**arguments)

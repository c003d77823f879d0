from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch.trainer.states import RunningStage
from torch import nn

from leyden.lifecycle import StateResetting, reset_states, stateful_parts


class Part(nn.Module):
    """Counts its resets."""

    def __init__(self) -> None:
        super().__init__()
        self.resets = 0

    def reset_state(self) -> None:
        self.resets += 1


def test_stateful_parts_are_found_at_any_depth() -> None:
    inner, outer = Part(), Part()
    outer.part = nn.ModuleList([nn.ReLU(), inner])
    module = nn.Sequential(nn.Linear(2, 2), outer)
    assert stateful_parts(module) == [outer, inner]
    assert stateful_parts(outer) == [outer, inner]
    reset_states([outer, inner, inner])
    assert (outer.resets, inner.resets) == (1, 2)


def make_trainer(count: int) -> Any:
    return SimpleNamespace(
        datamodule=SimpleNamespace(num_windows=lambda phase, epoch: count),
        state=SimpleNamespace(stage=RunningStage.TRAINING),
        current_epoch=0,
        is_last_batch=False,
    )


@pytest.mark.parametrize("phase", ["train", "validation", "test", "predict"])
def test_parts_are_reset_before_the_first_window_and_after_the_last(phase: str) -> None:
    part, hooks, trainer = Part(), StateResetting(), make_trainer(3)
    seen = []
    for index in range(6):
        getattr(hooks, f"on_{phase}_batch_start")(trainer, part, None, index)
        seen.append(part.resets)
        getattr(hooks, f"on_{phase}_batch_end")(trainer, part, None, None, index)
    assert seen == [1, 1, 1, 3, 3, 3]
    assert part.resets == 4


def test_a_run_that_goes_on_in_the_middle_of_a_batch_resets_after_it() -> None:
    part, hooks, trainer = Part(), StateResetting(), make_trainer(3)
    hooks.on_train_batch_start(trainer, part, None, 4)
    assert part.resets == 0
    hooks.on_train_batch_end(trainer, part, None, None, 4)
    assert part.resets == 0
    hooks.on_train_batch_start(trainer, part, None, 5)
    hooks.on_train_batch_end(trainer, part, None, None, 5)
    assert part.resets == 1


def test_the_parts_are_those_of_the_module_at_hand() -> None:
    one, other, hooks, trainer = Part(), Part(), StateResetting(), make_trainer(2)
    hooks.on_train_batch_start(trainer, one, None, 0)
    hooks.setup(trainer, other, "fit")
    hooks.on_train_batch_start(trainer, other, None, 2)  # goes on in the middle of an epoch
    assert (one.resets, other.resets) == (1, 1)


def test_without_stateful_parts_the_windows_are_not_even_looked_up() -> None:
    hooks, trainer = StateResetting(), SimpleNamespace(is_last_batch=False)
    hooks.on_train_batch_start(trainer, nn.ReLU(), None, 0)
    hooks.on_train_batch_end(trainer, nn.ReLU(), None, None, 0)

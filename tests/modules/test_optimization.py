from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim import lr_scheduler as schedules

from leyden.errors import ConfigError
from leyden.modules.optimization import configure
from leyden.recipes import Recipe


def parameters() -> list[Parameter]:
    return [Parameter(torch.ones(2))]


def scheduled(scheduler: Recipe, optimizer: Recipe = "sgd") -> dict[str, Any]:
    """Configure, and give what Lightning is told of the schedule."""
    made: Any = configure(parameters(), optimizer, scheduler)
    assert made["optimizer"] is made["lr_scheduler"]["scheduler"].optimizer
    timed: dict[str, Any] = made["lr_scheduler"]
    return timed


@pytest.mark.parametrize(
    ("name", "expected"), [("adam", Adam), ("adamw", AdamW), ("rmsprop", RMSprop), ("sgd", SGD)]
)
def test_optimizers_are_known_by_name(name: str, expected: type[Optimizer]) -> None:
    assert type(configure(parameters(), name, None)) is expected


@pytest.mark.parametrize(
    "recipe",
    [
        {"type": "sgd", "lr": 0.5, "momentum": 0.9},
        {"type": "torch.optim.SGD", "lr": 0.5, "momentum": 0.9},
        partial(SGD, lr=0.5, momentum=0.9),
    ],
)
def test_an_optimizer_has_the_arguments_of_its_recipe(recipe: Recipe) -> None:
    weights = parameters()
    made = configure(weights, recipe, None)
    assert isinstance(made, SGD)
    assert (made.defaults["lr"], made.defaults["momentum"]) == (0.5, 0.9)
    assert made.param_groups[0]["params"][0] is weights[0]


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("constant", schedules.ConstantLR),
        ("plateau", schedules.ReduceLROnPlateau),
        ({"type": "cosine", "T_max": 3}, schedules.CosineAnnealingLR),
        ({"type": "exponential", "gamma": 0.5}, schedules.ExponentialLR),
        ({"type": "onecycle", "max_lr": 1.0, "total_steps": 5}, schedules.OneCycleLR),
        ({"type": "step", "step_size": 2}, schedules.StepLR),
        ({"type": "torch.optim.lr_scheduler.StepLR", "step_size": 2}, schedules.StepLR),
        (partial(schedules.StepLR, step_size=2), schedules.StepLR),
    ],
)
def test_schedules_are_known_by_name(recipe: Recipe, expected: type[object]) -> None:
    timed = scheduled(recipe)
    assert type(timed["scheduler"]) is expected
    assert (timed["interval"], timed["monitor"]) == ("epoch", "val/loss")


def test_a_schedule_says_when_it_steps_and_what_it_watches() -> None:
    recipe = {"type": "plateau", "patience": 7, "interval": "step", "monitor": "train/loss"}
    timed = scheduled(recipe)
    assert (timed["interval"], timed["monitor"]) == ("step", "train/loss")
    assert timed["scheduler"].patience == 7
    assert len(recipe) == 4  # it can be used again


def test_an_unknown_interval_is_refused() -> None:
    problem = "Expected `interval` of the scheduler to be 'epoch' or 'step', but got 'batch'[.]"
    with pytest.raises(ConfigError, match=problem):
        configure(parameters(), "adam", {"type": "plateau", "interval": "batch"})


@pytest.mark.parametrize(
    ("optimizer", "scheduler", "problem"),
    [
        ("adan", None, "`optimizer` to be of a known type .*'adan'[.] Did you mean 'adam'[?]"),
        ("adam", "cosin", "`scheduler` to be of a known type .*'cosin'[.] Did you mean 'cosine'"),
        ({"lr": 0.1}, None, "`optimizer` to have a `type`, but got {'lr': 0[.]1}"),
        ("adam", "cosine", "`scheduler` to have arguments that cosine takes, but got {}: .*T_max"),
        ({"type": "sgd", "lr": -1}, None, "`optimizer` to have arguments .*Invalid learning rate"),
        ({"type": "sgd", "rate": 1}, None, "arguments that sgd takes, but got {'rate': 1}: .*rate"),
    ],
)
def test_what_does_not_fit_is_refused(
    optimizer: Recipe, scheduler: Recipe | None, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        configure(parameters(), optimizer, scheduler)


def test_biases_and_scales_may_be_spared_the_decay() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Conv1d(1, 1, 3))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    recipe = {"type": "adamw", "lr": 0.1, "weight_decay": 0.5, "decay_biases": False}
    optimizer = configure(network.parameters(), recipe, None)
    assert isinstance(optimizer, AdamW)
    optimizer.step()
    for name, parameter in network.named_parameters():
        share = 0.95 if name in ("0.weight", "2.weight") else 1.0  # 1 - 0.1 * 0.5
        torch.testing.assert_close(parameter.detach(), share * before[name])
    assert "decay_biases" in recipe  # it can be used again


def test_all_weights_decay_unless_it_is_told_otherwise() -> None:
    recipe = {"type": "adamw", "weight_decay": 0.5, "decay_biases": True}
    optimizer = configure(nn.Linear(2, 3).parameters(), recipe, None)
    assert isinstance(optimizer, AdamW)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5]

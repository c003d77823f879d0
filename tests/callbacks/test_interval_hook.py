from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from leyden.callbacks import IntervalHook, StageHooks
from leyden.errors import ConfigError
from leyden.lifecycle import RunView

Quick = Callable[..., Trainer]


class Noting:
    """Notes the steps it is called for."""

    def __init__(self) -> None:
        self.before: list[int] = []
        self.after: list[int] = []

    def before_step(self, step: int, fetches: Any, feeds: Any, batch: Any) -> None:
        self.before.append(step)

    def after_step(self, step: int, results: Any) -> None:
        self.after.append(step)


def go(hook: IntervalHook, first: int, last: int) -> None:
    for step in range(first, last):
        hook.before_step(step, {}, {}, None)
        hook.after_step(step + 1, {}, {}, None)


@pytest.mark.parametrize(
    ("limit", "last", "steps"),
    [
        (1000, 3001, [0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 2000, 3000]),
        (100, 301, [0, 2, 4, 8, 16, 32, 64, 100, 200, 300]),
    ],
)
def test_intervals_double_up_to_a_limit(limit: int, last: int, steps: list[int]) -> None:
    noting = Noting()
    go(IntervalHook([noting], 1, modify_each=1, max_interval=limit), 0, last)
    assert noting.before == steps
    assert noting.after == [step + 1 for step in steps]


def test_growing_intervals_go_on_after_an_interruption() -> None:
    def make(noting: Noting) -> IntervalHook:
        return IntervalHook([noting], 1, modify_each=2, max_interval=50)

    whole, noting = Noting(), Noting()
    go(make(whole), 0, 400)
    first, second = make(noting), make(noting)
    go(first, 0, 33)
    second.load_state_dict(first.state_dict())
    go(second, 33, 400)
    assert noting.before == whole.before
    assert len(whole.before) > 10


def test_steps_between_start_and_stop_are_handed_on() -> None:
    noting = Noting()
    go(IntervalHook([noting], 3, start=3, stop=12, max_interval=3), 0, 30)
    assert noting.before == [6, 9, 12]


def test_the_interval_grows_as_it_is_told_to() -> None:
    noting = Noting()
    go(IntervalHook([noting], 2, modifier=lambda interval: interval + 1), 0, 13)
    assert noting.before == [0, 2, 3, 6, 8, 12]  # two steps each with 2, 3 and 4


def test_other_steps_may_be_counted() -> None:
    noting = Noting()
    hook = IntervalHook([noting], 5, max_interval=5, get_step=lambda: 10 * len(noting.before) + 1)
    go(hook, 0, 4)
    assert noting.before == []


def test_epochs_are_handed_on_and_exceptions_are_not(notes: Any, quick: Quick) -> None:
    def fail(run: RunView) -> None:
        raise RuntimeError("out of luck")

    hooks = StageHooks([IntervalHook([notes.hook()], 2, max_interval=2), {"val_end": fail}])
    with pytest.raises(RuntimeError, match="out of luck"):
        quick(hooks).fit(BoringModel())
    assert list(notes) == [
        "before_epoch 0",
        *("before_step 0", "after_step 1"),
        *("before_step 2", "after_step 3"),
        "after_epoch 0",
    ]


def test_steps_in_between_compute_nothing(quick: Quick, tmp_path: Path) -> None:
    class Wanting(Noting):
        def wants(self, step: int) -> list[str]:
            return ["value"]

    computed: list[int] = []
    hooks = [IntervalHook([Wanting()], 2, max_interval=2)]
    fetches = {"value": lambda module, **feeds: computed.append(1)}
    quick(StageHooks(hooks, fetches), limit_train_batches=5).fit(BoringModel())
    assert computed == [1, 1, 1]


def test_hooks_inside_see_the_run_and_have_their_state_saved(quick: Quick) -> None:
    class Counting(Noting):
        def attach(self, run: RunView) -> None:
            self.run = run

        def state_dict(self) -> dict[str, Any]:
            return {"steps": self.run.global_step}

    outer = StageHooks([IntervalHook([Counting()], 2)])
    quick(outer).fit(BoringModel())
    assert outer.state_dict()["hooks"]["IntervalHook"]["hooks"] == {"Counting": {"steps": 3}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 0), "Expected `interval` to be at least 1, but got 0"),
        (([], 1, None, None, 0), "Expected `modify_each` to be at least 1, but got 0"),
        (([{"train:iter": print}], 2), r"but got one of stages. .* {Every\(batches=20\): ...}"),
    ],
)
def test_arguments_are_checked(arguments: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        IntervalHook(*arguments)

"""When a loss is an alarm."""

import json
import math

import pytest

from leyden.errors import ConfigError
from leyden.incidents import Facts, LossWatch, Trouble


def facts(step: int, loss: float) -> Facts:
    return Facts(step, 0, step - 1, loss, 2.0, (0.1, 0.2))


def watch_of(*losses: float, jump: float | None = 4.0, history: int = 10) -> LossWatch:
    watch = LossWatch(jump=jump, history=history)
    for step, loss in enumerate(losses, start=1):
        watch.judge(loss, is_finite=True)
        watch.remember(facts(step, loss))
    return watch


@pytest.mark.parametrize(
    ("loss", "is_finite", "trouble"),
    [
        (math.nan, True, Trouble.LOSS),
        (-math.inf, False, Trouble.LOSS),
        (1.0, False, Trouble.GRADIENT),
        (8.1, True, Trouble.JUMP),
        (8.0, True, None),
    ],
)
def test_step_is_judged(loss: float, is_finite: bool, trouble: Trouble | None) -> None:
    watch = watch_of(*[1.0, 2.0, 3.0] * 4)
    assert watch.median == 2.0
    assert watch.judge(loss, is_finite=is_finite) is trouble


def test_only_what_turns_bad_is_told() -> None:
    watch = watch_of()
    found = [watch.judge(loss, is_finite=True) for loss in (1.0, math.nan, math.nan, 1.0, math.nan)]
    assert found == [None, Trouble.LOSS, None, None, Trouble.LOSS]


def test_jump_needs_a_median_above_zero() -> None:
    assert watch_of(*[1.0] * 9).judge(99.0, is_finite=True) is None  # of too few
    assert watch_of(*[-1.0] * 12).judge(99.0, is_finite=True) is None
    assert watch_of(*[1.0] * 12, jump=None).judge(99.0, is_finite=True) is None
    assert watch_of(*[1.0] * 12, math.nan).median is None  # nine finite ones are left


def test_loss_that_is_no_larger_than_another_is_no_jump() -> None:
    watch = watch_of(*[0.01] * 11, 1.0, history=12)
    assert watch.judge(0.9, is_finite=True) is None
    assert watch.judge(1.1, is_finite=True) is Trouble.JUMP


def test_oldest_steps_are_forgotten_and_the_rest_survives_json() -> None:
    watch = watch_of(*map(float, range(1, 13)), math.nan)
    assert [one.step for one in watch.before] == list(range(4, 14))
    other = watch_of()
    other.load_state_dict(json.loads(json.dumps(watch.state_dict())))
    assert repr(other.before) == repr(watch.before)
    assert other.judge(math.nan, is_finite=True) is None  # it has been told


def test_argument_out_of_range_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"Expected `jump` to be a number above 1, but got 0\.5\."
    ):
        LossWatch(jump=0.5, history=10)
    with pytest.raises(
        ConfigError, match=r"Expected `history` to be a whole number from 10, but got 2\."
    ):
        LossWatch(jump=None, history=2)

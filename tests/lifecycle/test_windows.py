from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.trainer.states import RunningStage

from leyden.lifecycle import Window, find_window


def test_a_window_knows_whether_it_begins_or_ends_its_batch() -> None:
    windows = [Window(index, 3) for index in range(3)]
    assert [window.is_first for window in windows] == [True, False, False]
    assert [window.is_last for window in windows] == [False, False, True]
    assert (Window().is_first, Window().is_last) == (True, True)


@given(
    st.lists(st.floats(-10, 10), min_size=1, max_size=12),
    st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)),
)
def test_shares_make_the_weighted_mean_of_the_windows(
    values: list[float], weights: tuple[float, float]
) -> None:
    mean = 0.0
    for index, value in enumerate(values):
        mean += Window(index, len(values)).share(weights) * (value - mean)
    expected = np.average(values, weights=np.linspace(*weights, len(values)))
    assert mean == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        ((1, 1), [1, 1 / 2, 1 / 3]),
        ((0.5, 1.5), [1, 2 / 3, 1 / 2]),  # weights 0.5, 1 and 1.5
        ((0, 1), [1, 1, 2 / 3]),  # 0, 0.5 and 1
        ((1, 0), [1, 1 / 3, 0]),
    ],
)
def test_shares_are_those_worked_out_by_hand(
    weights: tuple[float, float], shares: list[float]
) -> None:
    assert [Window(index, 3).share(weights) for index in range(3)] == pytest.approx(shares)


def trainer_with(datamodule: object, stage: RunningStage) -> Any:
    state = SimpleNamespace(stage=stage)
    return SimpleNamespace(datamodule=datamodule, state=state, current_epoch=7)


@pytest.mark.parametrize(
    ("stage", "phase"),
    [
        (RunningStage.TRAINING, "train"),
        (RunningStage.VALIDATING, "val"),
        (RunningStage.SANITY_CHECKING, "val"),
        (RunningStage.TESTING, "test"),
        (RunningStage.PREDICTING, "predict"),
    ],
)
def test_the_data_module_says_how_many_windows_there_are(stage: RunningStage, phase: str) -> None:
    asked = []

    def num_windows(phase: str, epoch: int) -> int:
        asked.append((phase, epoch))
        return 4

    trainer = trainer_with(SimpleNamespace(num_windows=num_windows), stage)
    assert [find_window(trainer, index) for index in (0, 3, 4, 11)] == [
        Window(0, 4),
        Window(3, 4),
        Window(0, 4),
        Window(3, 4),
    ]
    assert set(asked) == {(phase, 7)}


@pytest.mark.parametrize("datamodule", [None, SimpleNamespace()])
def test_other_data_have_one_window(datamodule: object) -> None:
    trainer = trainer_with(datamodule, RunningStage.TRAINING)
    assert find_window(trainer, 5) == Window(0, 1)

import time
from collections.abc import Iterator
from typing import Any

import pytest
from typing_extensions import override

from leyden.errors import ConfigError
from leyden.lifecycle import STEPS, StageCallback, StageTimer

DOCUMENTED = [
    "on_train_begin",
    "on_download_and_prepare_data_begin",
    "on_download_and_prepare_data_end",
    "on_load_data_begin",
    "on_load_data_end",
    "on_augment_data_begin",
    "on_augment_data_end",
    "on_fit_preprocessors_begin",
    "on_fit_preprocessors_end",
    "on_transform_data_begin",
    "on_transform_data_end",
    "on_fit_model_begin",
    "on_fit_model_end",
    "on_evaluate_model_begin",
    "on_evaluate_model_end",
    "on_train_end",
]


class Noting:
    """Has every method there might be."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda: self.notes.append(name)


def test_an_experiment_is_documented_in_its_order() -> None:
    noting = Noting()
    timer = StageTimer([noting, StageCallback(), object()])
    with timer.train():
        for step in STEPS:
            with timer.step(step):
                noting.notes.append(step)
    assert [note for note in noting.notes if note.startswith("on_")] == DOCUMENTED
    assert noting.notes[1:4] == [DOCUMENTED[1], STEPS[0], DOCUMENTED[2]]
    assert [name for name in vars(StageCallback) if name.startswith("on_")] == DOCUMENTED


def test_each_step_is_timed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def ticks() -> Iterator[float]:
        yield from range(100)

    seconds = ticks()
    monkeypatch.setattr(time, "perf_counter", lambda: next(seconds))
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    timer = StageTimer()
    with timer.train(), timer.step("load_data"):
        time.perf_counter()  # one tick more
    assert timer.elapsed == {
        "load_data": {"start": 1000.0, "end": 1002.0, "duration": 2.0},
        "total": {"start": 1000.0, "end": 1004.0, "duration": 4.0},
    }


def test_a_step_that_fails_has_no_end_but_the_experiment_has() -> None:
    noting = Noting()
    timer = StageTimer([noting])
    with pytest.raises(RuntimeError, match="no disk"), timer.train(), timer.step("load_data"):
        raise RuntimeError("no disk")
    assert noting.notes == ["on_train_begin", "on_load_data_begin", "on_train_end"]
    assert list(timer.elapsed) == ["load_data", "total"]


def test_a_callback_that_fails_is_named() -> None:
    class Failing(StageCallback):
        @override
        def on_load_data_begin(self) -> None:
            raise RuntimeError("out of luck")

    timer = StageTimer([Failing()])
    with pytest.raises(RuntimeError, match=r"in `on_load_data_begin` of the hook `.*Failing`"):
        timer.step("load_data").__enter__()


def test_an_unknown_step_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"but got 'load_dat'. Did you mean 'load_data'?"):
        StageTimer().step("load_dat").__enter__()

"""Arguments that callbacks refuse when they are made, in a sentence that says what to pass."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from numpy import int64
from torch import nn

from leyden import callbacks
from leyden.errors import ConfigError
from leyden.introspect import find_layers, find_parameters
from leyden.lifecycle import Every

SLIPS: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], str]] = [
    (callbacks.GradientMonitor, (50,), {}, "`every` to be such as Every(batches=50), but got 50."),
    (callbacks.WeightMonitor, ("batches",), {}, "`every` to be such as Every(batches=50)"),
    (callbacks.GradientMonitor, (), {"norm": "l2"}, "`norm` to be a number above zero, a function"),
    (callbacks.WeightMonitor, (), {"norm": None}, "or two functions, but got None. Pass such as 2"),
    (callbacks.HealthMonitor, (), {"dead_threshold": -1}, "to be a number from 0, but got -1."),
    (callbacks.HealthMonitor, (), {"dead_fraction": 2}, "to be a number from 0 to 1, but got 2."),
    (callbacks.HealthMonitor, (), {"large_threshold": float("nan")}, "number from 0, but got nan."),
    (callbacks.RunCard, (), {"every_seconds": "3"}, "`every_seconds` to be a number from 0, but"),
    (callbacks.ThresholdTuner, (), {"steps": "10"}, "`steps` to be a whole number from 2, but got"),
    (callbacks.ThresholdTuner, (), {"bounds": 3}, "a lowest and a highest threshold, but got 3."),
    (callbacks.ThresholdTuner, (), {"bounds": (0, 0.5, 1)}, "but got (0, 0.5, 1)."),
    (
        callbacks.ThresholdTuner,
        (),
        {"prefer": None},
        "`prefer` to be a finite number, but got None",
    ),
    (callbacks.ThresholdTuner, (), {"scores": 3}, "`scores` to be a key or a function of outputs"),
    (callbacks.SubsetSelector, (1.5,), {}, "`size` to be a whole number from 1, but got 1.5."),
    (callbacks.FlightRecorder, (), {"jump": "3"}, "`jump` to be a number above 1, but got '3'."),
    (callbacks.FlightRecorder, (), {"history": 64.5}, "a whole number from 10, but got 64.5."),
    (callbacks.FlightRecorder, (), {"max_incidents": 1.5}, "a whole number from 1, but got 1.5."),
    (callbacks.Reseeder, (2**32,), {}, "to be a number from 0 to 4294967295, but got 4294967296."),
    (callbacks.Reseeder, (0, 3), {}, "`every` to be numbers by stage, such as {'train:epoch': 2}"),
]


@pytest.mark.parametrize(("kind", "arguments", "options", "message"), SLIPS)
def test_slip_is_answered_at_once(
    kind: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        kind(*arguments, **options)


def test_one_name_to_exclude_is_not_taken_for_letters() -> None:
    card: Any = callbacks.RunCard(exclude="lr")
    log: Any = callbacks.AttributeLog(exclude="lr")
    assert card._exclude == ("lr",)
    assert log._exclude[0] == "lr"


def test_layers_that_cannot_be_any_are_told() -> None:
    which: Any
    for which in (None, 3.5, ["0", ""]):
        for find in (find_layers, find_parameters):
            with pytest.raises(ConfigError, match=r"to be names, patterns or indices .* for all\."):
                find(nn.Linear(1, 1), which)


def test_whole_numbers_of_numpy_are_whole() -> None:
    whole: Any = int64(3)
    assert Every(batches=whole).due(3)

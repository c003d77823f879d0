from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leyden.errors import ConfigError
from leyden.experiment import Dataset, Model, Tracking
from leyden.experiment.specs import read, read_tracking, write


def test_a_record_is_read_and_written() -> None:
    settings = {"dataset": {"type": "images", "path": Path("a/b")}, "samples": {"train": 0.5}}
    written = write(read(Dataset, settings, what="data"), what="data")
    assert written["dataset"] == {"type": "images", "path": str(Path("a/b"))}
    assert write(Dataset(**written), what="data") == written


def test_a_key_that_is_not_known_is_answered_with_the_nearest() -> None:
    problem = r"`data` to have keys that are known, but got 'preprocesors'. Did you mean 'preproc"
    with pytest.raises(ConfigError, match=problem):
        read(Dataset, {"preprocesors": []}, what="data")


def test_an_object_cannot_be_written() -> None:
    problem = r"`dataset` of `data` to be told in words and numbers, but got a tuple. Pass a type"
    with pytest.raises(ConfigError, match=problem):
        write(Dataset((np.zeros((99, 99)), None)), what="data")


@pytest.mark.parametrize("name", ["log_params", "log_model_params"])
def test_parameters_of_the_model_have_two_names(name: str) -> None:
    tracking = read(Tracking, {name: False}, what="tracking")
    assert not tracking.log_model_params
    assert write(tracking, what="tracking")["log_model_params"] is False


@pytest.mark.parametrize("name", ["log_metrics", "log_model_metrics"])
def test_metrics_have_two_names(name: str) -> None:
    assert not read(Tracking, {name: False}, what="tracking").log_metrics


def test_the_type_is_no_parameter() -> None:
    assert Model({"type": "cnn", "filters": [4]}).parameters == {"filters": [4]}
    assert Model("cnn").parameters == {}
    assert Model({"entry_point": "a.B", "size": 3}).parameters == {"size": 3}


@pytest.mark.parametrize(
    ("shuffle", "order", "is_drawn"),
    [(True, "rows", True), (False, "none", False), ("full", "full", True), ("none", "none", False)],
)
def test_shuffle_is_a_claim_or_an_order(shuffle: bool | str, order: str, is_drawn: bool) -> None:
    dataset = Dataset(shuffle=shuffle)
    assert (dataset.order, dataset.is_drawn) == (order, is_drawn)


@pytest.mark.parametrize("told", ["csv", {"trackers": {"type": "csv"}}, {"trackers": "csv"}])
def test_one_tracker_will_do_alone(told: Any) -> None:
    [tracker] = read_tracking(told).trackers
    assert tracker in ("csv", {"type": "csv"})

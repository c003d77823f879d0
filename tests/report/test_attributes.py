"""What objects hold, for people to read."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from leyden.errors import ConfigError
from leyden.lifecycle import Every
from leyden.report import describe

THING = SimpleNamespace(
    rate=0.5,
    sizes=(8, 4),
    many=list(range(51)),
    array=np.zeros((2, 3), np.float32),
    tensor=torch.zeros(4),
    kind=torch.optim.Adam,
    layer=torch.nn.ReLU(),
    nested={"a": [None, True, math.nan]},
    _own=1,
)


def test_values_of_every_kind_are_told() -> None:
    found = describe(THING)
    assert found == {
        "array": "ndarray (2, 3) of float32",
        "kind": "Adam",
        "layer": "ReLU",
        "many": "list of 51",
        "nested": {"a": [None, True, "nan"]},
        "rate": 0.5,
        "sizes": [8, 4],
        "tensor": "Tensor (4,) of torch.float32",
    }
    json.dumps(found, allow_nan=False)
    assert THING.sizes == (8, 4)


def test_names_and_types_are_chosen() -> None:
    assert list(describe(THING, include=["_own", "*ay"])) == ["_own", "array"]
    assert "many" not in describe(THING, exclude=["ma*"])
    assert "sizes" not in describe(THING, exclude_types=[tuple])
    assert describe({"b": 1, "a": 2}) == {"a": 2, "b": 1}


def test_both_at_once_are_refused() -> None:
    with pytest.raises(ConfigError, match="Expected `include` or `exclude`, but got both"):
        describe(THING, include=["a"], exclude=["b"])


def test_attributes_in_slots_are_told_too() -> None:
    assert describe(Every(batches=3))["batches"] == 3
    assert describe(5) == {}


def test_one_name_is_not_taken_for_letters() -> None:
    thing = SimpleNamespace(rate=0.1, r=1, a=2)
    assert describe(thing, include="rate") == {"rate": 0.1}
    assert describe(thing, exclude="rate") == {"a": 2, "r": 1}

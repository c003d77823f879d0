"""What a checkpoint may hold, decided by what torch loads."""

import enum
import io
import itertools
import time
from argparse import Namespace
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn

from leyden.errors import ResumeError
from leyden.resume.checkpoints.plain import as_it_was, as_plain

Pair = namedtuple("Pair", "left right")


class Color(enum.Enum):
    RED = "red"


class Word(enum.StrEnum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


@dataclass
class Point:
    at: float
    more: list[Any]


class Settings(dict[str, int]):
    """A dict of a class of its own."""


class Tagged(torch.Tensor):
    """A tensor of a class of its own."""


def loaded(value: Any) -> Any:
    """Save and load as Lightning does."""
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def with_tag(tensor: Any, tag: Any) -> Any:
    tensor.tag = tag
    return tensor


PLAIN = {
    "none": None,
    "bool": True,
    "int": -(2**33),
    "large": 2**2038 + 1,
    "float": 1.5,
    "inf": float("-inf"),
    "complex": 1 - 2j,
    "str": "é\ud800",
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"x"),
    "list": [1, [2.5, None], "a"],
    "tuple": ((), (1,), (1, "a", None, (2, 3))),
    "set": {1, "a", (2, 3)},
    "dict": {1: "a", None: 2, (1, "a"): 3, 2.5: 4, b"k": 5},
    "ordered": OrderedDict(b=1, a=2),
    "counter": Counter("aab"),
    "size": torch.Size([2, 3]),
    "device": torch.device("cpu"),
    "dtype": [torch.float32, torch.bfloat16, torch.uint16],
    "layout": torch.strided,
}
TENSORS = {
    "float": torch.arange(3.0),
    "bfloat16": torch.ones(2, dtype=torch.bfloat16),
    "uint16": torch.ones(2, dtype=torch.uint16),
    "complex": torch.ones(2, dtype=torch.complex64).conj(),
    "parameter": nn.Parameter(torch.ones(2)),
    "buffer": nn.Buffer(torch.ones(2)),
    "empty": torch.empty(0, 3),
    "scalar": torch.tensor(3),
    "sparse": torch.eye(3).to_sparse(),
    "generator": torch.get_rng_state(),
    "attribute": with_tag(torch.ones(2), ["a", 1]),
}
REPLACED = {
    "path": Path("a/b"),
    "float32": np.float32(0.1),
    "float64": np.float64(0.1),
    "float16": np.float16(0.1),
    "int64": np.int64(-3),
    "uint64": np.uint64(2**64 - 1),
    "bool": np.bool_(True),
    "complex64": np.complex64(1 + 2j),
    "namespace": Namespace(lr=0.1, path=Path("a"), inner=Namespace(b=np.int8(1))),
    "no bytes": b"",
    "array": np.arange(6, dtype=np.float32).reshape(2, 3),
    "array of bool": np.array([True, False]),
    "array of uint32": np.array([2**32 - 1], dtype=np.uint32),
    "array turned": np.arange(6.0)[::-2],
    "array across": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "array of nothing": np.empty((0, 2), dtype=np.complex128),
    "array scalar": np.array(3.5),
    "deque": deque([1, np.float32(2)]),
    "deque of three": deque([deque([1]), Path("a")], maxlen=3),
    "dict with defaults": defaultdict(list, {"a": [1, Path("b")]}),
    "dict with no default": defaultdict(None, {1: 2}),
    "member of an enumeration": Color.RED,
    "word": Word.RED,
    "number": Number.ONE,
    "named tuple": Pair(1, Path("a")),
    "dataclass": Point(1.0, [Color.RED]),
    "records": deque([Pair(Color.RED, Point(2.0, []))]),
}
REFUSED: dict[str, list[Any]] = {
    "builtins": [range(3), slice(1), frozenset([1]), ..., int, len, object(), lambda: 0],
    "containers": [defaultdict(lambda: 0), Settings(a=1)],
    "objects": [timedelta(1), partial(int, "1"), nn.Linear(1, 1), torch.Generator()],
    "storages": [torch.ones(1).untyped_storage()],
    "tensors": [torch.ones(1).as_subclass(Tagged), with_tag(torch.ones(1), Color.RED)],
    "tensors with paths": [with_tag(torch.ones(1), Path("a"))],
    "numpy": [np.longdouble(1), np.datetime64("2024-01-01"), np.dtype("f4"), np.array(["a"])],
    "arrays": [np.array([None]), np.arange(3.0).astype(">f8"), np.ma.masked_array([1.0])],
    "integers": [2**2039, -(2**2039), 10**700],
    "keys": [{Color.RED: 1}, {Path("a"): 1}, {(Path("a"), 1): 1}, {Color.RED}, {b"": 1}],
}


def spelled(value: Any) -> Any:
    """Write a value with all of its types, for comparison."""
    inner: Any = repr(value)
    factory = getattr(value, "default_factory", None)
    if isinstance(value, dict):
        inner = [(key, spelled(item)) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        inner = [spelled(item) for item in value]
    elif isinstance(value, deque):
        inner = value.maxlen, [spelled(item) for item in value]
    elif isinstance(value, Namespace):
        inner = spelled(vars(value))
    elif isinstance(value, np.ndarray):
        inner = (value.dtype, value.shape, value.tolist())
    elif isinstance(value, set):
        inner = sorted(map(repr, value))
    return type(value), factory, inner


def same(left: Any, right: Any) -> bool:
    """Whether two values and all of their types are the same."""
    return bool(spelled(left) == spelled(right))


@pytest.mark.parametrize("name", PLAIN)
def test_plain_values_are_as_they_were_and_torch_loads_them(name: str) -> None:
    checkpoint = {"here": PLAIN[name]}
    assert same(as_plain(checkpoint), checkpoint)
    assert same(loaded(as_plain(checkpoint)), checkpoint)


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_are_the_same_objects_and_torch_loads_them(name: str) -> None:
    tensor = TENSORS[name]
    plain = as_plain({"here": [tensor]})
    assert plain["here"][0] is tensor
    back = loaded(plain)["here"][0]
    assert torch.equal(back.to_dense(), tensor.to_dense())
    assert back.dtype == tensor.dtype
    assert vars(back) == vars(tensor)


@pytest.mark.parametrize("name", REPLACED)
def test_harmless_values_come_back_as_they_were(name: str) -> None:
    value = REPLACED[name]
    plain = as_plain({"here": {"in": [1, (2, value)]}})
    assert not same(plain["here"]["in"][1][1], value)
    assert same(as_it_was(loaded(plain)), {"here": {"in": [1, (2, value)]}})


def test_what_is_replaced_is_readable_without_leyden() -> None:
    names = ("path", "float32", "bool", "namespace")
    plain = loaded(as_plain({name: REPLACED[name] for name in names}))
    del plain["leyden_types"]
    assert plain == {
        "path": "a/b",
        "float32": float(np.float32(0.1)),
        "bool": True,
        "namespace": {"lr": 0.1, "path": "a", "inner": {"b": 1}},
    }


@pytest.mark.parametrize(
    "value", list(itertools.chain(*REFUSED.values())), ids=lambda value: type(value).__name__
)
def test_what_torch_would_not_load_is_refused(value: Any) -> None:
    with pytest.raises(ResumeError, match=r"got\ncallbacks/Mine/1") as refusal:
        as_plain({"callbacks": {"Mine": [0, value]}})
    assert str(refusal.value).count("callbacks/Mine") == 1
    with pytest.raises(Exception, match=r"(?i)weights only|weights_only|pickle|tag"):
        unloadable_or_not_restorable(value)


def unloadable_or_not_restorable(value: Any) -> None:
    """Fail as torch does; where torch does not, the value had to be replaced somewhere hidden."""
    loaded({"here": value})
    raise AssertionError(f"torch loads {value!r}, so it need not be refused: weights_only")


def test_all_offenders_are_listed_with_place_type_and_remedy() -> None:
    checkpoint = {"callbacks": {"Mine": {"color": Settings()}}, "hyper_parameters": {"f": len}}
    with pytest.raises(ResumeError) as refusal:
        as_plain(checkpoint)
    lines = str(refusal.value).splitlines()
    assert lines[1].startswith("callbacks/Mine/color: ")
    assert lines[1].endswith("Settings")
    assert lines[2] == "hyper_parameters/f: builtin_function_or_method"
    assert "save_hyperparameters(ignore=[...])" in lines[3]


def test_of_many_offenders_the_first_are_listed() -> None:
    with pytest.raises(ResumeError, match="x/19: object\nand 5 more"):
        as_plain({"x": [object() for _ in range(25)]})


def test_numpy_text_is_plain_text() -> None:
    plain = as_it_was(loaded(as_plain({"name": np.str_("a"), "raw": np.bytes_(b"b")})))
    assert same(plain, {"name": "a", "raw": b"b"})


def test_numpy_keys_are_plain_keys() -> None:
    plain = as_plain({"best": {np.int64(3): 1, np.str_("a"): 2}, "seen": {np.int64(1)}})
    assert plain == {"best": {3: 1, "a": 2}, "seen": {1}}
    assert [type(key) for key in plain["best"]] == [int, str]


def test_versions_in_the_state_of_a_module_are_kept() -> None:
    state = nn.BatchNorm1d(2).state_dict()
    back = loaded(as_plain({"state_dict": state}))["state_dict"]
    assert vars(back) == vars(state)
    assert vars(back)["_metadata"][""] == {"version": 2}


def test_omegaconf_becomes_plain_and_stays_so() -> None:
    config = OmegaConf.create({"lr": 0.1, "sizes": [1, "${lr}"], "path": Path("a"), "no": "???"})
    plain = loaded(as_plain({"config": config, "kind": DictConfig, "list": config.sizes}))
    assert as_it_was(plain) == {
        "config": {"lr": 0.1, "sizes": [1, "${lr}"], "path": Path("a"), "no": "???"},
        "kind": "DictConfig",
        "list": [1, "${lr}"],
    }
    assert as_plain({"kind": ListConfig}) == {"kind": "ListConfig"}


def test_a_container_in_two_places_stays_one() -> None:
    shared = {"a": [1], "path": Path("x")}
    back = as_it_was(loaded(as_plain({"one": shared, "two": [shared]})))
    assert back["one"] is back["two"][0]
    assert back["one"] == shared


def test_a_container_that_contains_itself_is_refused() -> None:
    ring: list[Any] = []
    ring += [ring, ring]
    with pytest.raises(ResumeError, match="ring/0: contains itself\nring/1: contains itself"):
        as_plain({"ring": ring})


def test_what_pickle_cannot_descend_into_is_refused() -> None:
    nested: list[Any] = []
    for _ in range(99):
        nested = [nested]
    assert loaded(as_plain({"nested": nested})) == {"nested": nested}
    with pytest.raises(ResumeError, match="0/0: more than 100 levels deep"):
        as_plain({"nested": [[nested]]})


def test_what_was_made_plain_twice_still_comes_back() -> None:
    once = as_plain({"path": Path("a")})
    twice = as_plain({**once, "best": np.float32(2)})
    back = as_it_was(twice)
    assert same(back, {"path": Path("a"), "best": np.float32(2)})


def test_the_checkpoint_itself_is_not_changed() -> None:
    array = np.zeros(2)
    checkpoint = {"a": [Path("x"), {"b": array}]}
    plain = as_plain(checkpoint)
    array[:] = 1
    assert checkpoint == {"a": [Path("x"), {"b": array}]}
    assert plain["a"][1]["b"].tolist() == [0, 0]


def test_a_path_of_another_kind_is_a_path() -> None:
    assert as_it_was(as_plain({"path": PurePosixPath("a")})) == {"path": Path("a")}


def test_a_million_numbers_take_no_time() -> None:
    order = list(range(1_000_000))
    began = time.perf_counter()
    assert as_plain({"order": order}) == {"order": order}
    assert time.perf_counter() - began < 1  # measured: 0.05 s; one by one: 0.6 s


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.text("ab").map(Path),
    st.floats(width=32, allow_nan=False).map(np.float32),
    st.lists(st.integers(0, 255)).map(lambda values: np.array(values, dtype=np.uint8)),
)
KEYS = st.one_of(st.text(), st.integers(), st.tuples(st.integers(), st.text()))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(KEYS, inner),
        st.dictionaries(st.text("abc").filter(str.isidentifier), inner).map(
            lambda values: Namespace(**values)
        ),
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), TREES))
def test_any_structure_comes_back_as_it_was(checkpoint: dict[str, Any]) -> None:
    assert same(as_it_was(loaded(as_plain(checkpoint))), checkpoint)

"""What fits an annotation, and what is plainly wrong."""

import datetime
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from torch import Tensor

import leyden.callbacks
import leyden.modules
from leyden.config.annotations import describe, fits, parameters_of
from leyden.data import AutoDataModule


class Colour(StrEnum):
    RED = "red"


FITTING: list[tuple[Any, Any]] = [
    (3, int),
    (3.0, int),
    (True, int),
    (1, float),
    (1, bool),
    ("a", str),
    ("a", Path),
    ("a", str | os.PathLike[str]),
    (None, int | None),
    ("auto", int | Literal["auto"]),
    ([1, 2], Sequence[int]),
    ([1, 2], list[float]),
    ([1, 2], tuple[int, int]),
    ([1, 2, 3], tuple[int, ...]),
    ({"a": 1}, Mapping[str, int]),
    ("red", Colour),
    ("RED", Colour),
    (5, Annotated[int, "rows"]),
    ([], Sequence[str] | Mapping[str, str]),
    # Whoever asks for an object may make it from anything.
    ("fast", Tensor),
    (3, datetime.timedelta),
    ("x", Callable[..., Any]),
    ("x", Any),
    ({"_target_": "a.B"}, int),
    ([{"_target_": "a.B"}], list[int]),
]
WRONG: list[tuple[Any, Any]] = [
    ("abc", int),
    (2.5, int),
    (None, int),
    ("1e-3", float),
    (True, float),
    ("yes", bool),
    (2, bool),
    (5, str),
    (5, Path),
    ("x", int | None),
    ("fast", float | Tensor),
    ("slow", int | Literal["auto"]),
    ("12", Sequence[str]),
    ([1, "a"], list[int]),
    ([1], tuple[int, int]),
    ([1], Mapping[str, int]),
    ({"a": "b"}, dict[str, int]),
    ("blue", Colour),
]


@pytest.mark.parametrize(("value", "kind"), FITTING)
def test_what_may_be_right_fits(value: Any, kind: Any) -> None:
    assert fits(value, kind)


@pytest.mark.parametrize(("value", "kind"), WRONG)
def test_what_is_plainly_wrong_does_not_fit(value: Any, kind: Any) -> None:
    assert not fits(value, kind)


DESCRIPTIONS = [
    (int | None, "a whole number or null"),
    (None | float | Tensor, "a number or null"),
    (Sequence[int] | str, "a list or a text"),
    (Mapping[str, int], "a section"),
    (Colour, "'red'"),
    (Annotated[bool, 1], "true or false"),
    (bool | int | None, "true or false, or a whole number or null"),
]


@pytest.mark.parametrize(("kind", "words"), DESCRIPTIONS)
def test_a_kind_is_said_in_words(kind: Any, words: str) -> None:
    assert describe(kind) == words


def test_parameters_that_exist_for_type_checkers_only_are_anything() -> None:
    def late(count: "NoSuchName") -> None: ...  # type: ignore[name-defined] # noqa: F821

    assert [one.annotation for one in parameters_of(late).values()] == [Any]
    assert parameters_of(5) == {}  # type: ignore[arg-type]


def test_all_that_can_be_configured_here_says_what_it_takes() -> None:
    rooms = (leyden.callbacks, leyden.modules)
    classes: list[Any] = [getattr(room, name) for room in rooms for name in room.__all__]
    kinds: list[Any] = [AutoDataModule, *filter(inspect.isclass, classes)]
    for kind in kinds:
        found = [one.annotation for one in parameters_of(kind).values()]
        assert not found or {*map(str, found)} != {str(Any)}, kind
